use super::*;

fn state(change: impl FnOnce(&mut Config)) -> AppState {
    let mut config = Config::for_tests();
    change(&mut config);
    let store = Arc::new(Store::in_memory(trefoil_store::Settings::default()));
    AppState::new(store, Clock::Manual(AtomicI64::new(0)), config)
}

/// Works until it is told to stop, as a scan does.
fn endless(limits: &Limits<'_>) -> Result<(), Error> {
    loop {
        limits.tally.add(1, 0)?;
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_query_past_its_deadline_is_cancelled_and_its_thread_ends() {
    let state = state(|_| {});
    let limit = Some(Duration::from_millis(20));
    let error = state.ask(Api::Ui, limit, |_, limits| endless(limits)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled);
    assert!(error.message.contains("--query-timeout"), "{error}");
    state.stop_queries().await;
}

#[tokio::test]
async fn a_query_whose_client_has_gone_is_cancelled() {
    let state = state(|config| config.query_concurrency = 1);
    let (started, running) = tokio::sync::oneshot::channel();
    let question = state.ask(Api::Ui, None, |_, limits| {
        let _ = started.send(());
        endless(limits)
    });
    tokio::select! {
        _ = question => panic!("it never ends by itself"),
        _ = running => {}
    }
    // The only permit comes back once the thread has noticed.
    state.ask(Api::Ui, None, |_, _| Ok(())).await.unwrap();
}

#[tokio::test]
async fn a_query_stops_at_its_limit_of_bytes() {
    let state = state(|config| config.query_bytes_max = 10);
    let ask = |bytes| state.ask(Api::Ui, None, move |_, limits| Ok(limits.tally.add(1, bytes)?));
    assert_eq!(ask(10).await, Ok(()));
    assert_eq!(ask(11).await.unwrap_err().kind, ErrorKind::Limit);
}

#[tokio::test]
async fn too_many_waiting_queries_are_refused() {
    let state = state(|config| config.query_concurrency = 1);
    state.waiting.store(WAITING_PER_PERMIT, Relaxed);
    let error = state.ask(Api::Ui, None, |_, _| Ok(())).await.unwrap_err();
    assert_eq!(status(&error), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(state.waiting.load(Relaxed), WAITING_PER_PERMIT);
}

#[tokio::test]
async fn a_panic_in_a_query_is_an_error_of_that_query() {
    let state = state(|_| {});
    let error =
        state.ask(Api::Ui, None, |_, _| -> Result<(), Error> { panic!("as planned") }).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::Storage);
}
