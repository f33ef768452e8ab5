use super::*;

fn queue(items: usize, bytes: usize, batch: usize) -> (Queue, Arc<Account>) {
    let account = Arc::new(Account::default());
    let settings = BatchSettings {
        batch_items_max: batch,
        queue_items_max: items,
        queue_bytes_max: bytes,
        ..BatchSettings::default()
    };
    (Queue::new(settings, Arc::clone(&account)), account)
}

fn drained(queue: &Queue) -> Vec<(&'static str, Priority, String)> {
    let mut items = Vec::new();
    queue.drain(&mut |scope, priority, message| {
        items.push((scope, priority, String::from_utf8(message.to_vec()).unwrap()));
    });
    items
}

#[test]
fn items_come_out_in_order_with_errors_first() {
    let (queue, account) = queue(10, 1000, 2);
    queue.push("a", Priority::Normal, b"one");
    queue.push("b", Priority::Normal, b"two");
    queue.push("a", Priority::Error, b"bad");
    let expected = [
        ("a", Priority::Error, "bad".to_owned()),
        ("a", Priority::Normal, "one".to_owned()),
        ("b", Priority::Normal, "two".to_owned()),
    ];
    let mut first = 0;
    assert_eq!(queue.take(&mut |_, _, _| first += 1), 2);
    assert_eq!(first, 2, "a batch at a time");
    assert_eq!(drained(&queue), expected[2..]);
    assert_eq!(account.read(), crate::account::Counts::default());
    assert_eq!(queue.waiting(), Amount::default());
}

#[test]
fn t7_a_full_queue_drops_the_new_and_an_error_takes_the_place_of_the_oldest() {
    for (items, bytes) in [(3, 1000), (100, 9)] {
        let (queue, account) = queue(items, bytes, 100);
        for text in ["1.1", "2.2", "3.3", "4.4"] {
            queue.push("s", Priority::Normal, text.as_bytes());
        }
        assert_eq!(account.read().dropped(Dropped::QueueFull), 1, "4.4");
        queue.push("s", Priority::Error, b"bad");
        assert_eq!(account.read().dropped(Dropped::QueueFull), 2, "1.1");
        for _ in 0..3 {
            queue.push("s", Priority::Error, b"bad");
        }
        assert_eq!(account.read().dropped(Dropped::QueueFull), 5, "2.2, 3.3 and an error");
        assert_eq!(drained(&queue), vec![("s", Priority::Error, "bad".to_owned()); 3]);
    }
}

#[test]
fn an_item_that_no_batch_can_hold_is_dropped_by_itself() {
    let (queue, account) = queue(10, 64 << 20, 10);
    queue.push("s", Priority::Error, &vec![0; BATCH_BYTES_MAX + 1]);
    assert_eq!(account.read().dropped(Dropped::TooLarge), 1);
    let half = vec![b'x'; BATCH_BYTES_MAX / 2 + 1];
    queue.push("s", Priority::Normal, &half);
    queue.push("s", Priority::Normal, &half);
    assert_eq!(queue.take(&mut |_, _, _| {}), 1, "two would be too large");
    assert_eq!(queue.take(&mut |_, _, _| {}), 1);
    assert_eq!(queue.take(&mut |_, _, _| {}), 0);
}

#[test]
fn a_closed_queue_counts_what_waits_and_what_comes_too_late() {
    let (queue, account) = queue(10, 1000, 10);
    queue.push("s", Priority::Normal, b"waits");
    queue.close();
    queue.push("s", Priority::Error, b"late");
    assert_eq!(account.read().dropped(Dropped::Shutdown), 2);
    assert_eq!(queue.waiting(), Amount::default());
}

#[test]
fn t7_threads_that_push_while_one_takes_lose_nothing_uncounted() {
    const THREADS: u64 = 4;
    const ITEMS: u64 = 20_000;
    let (queue, account) = queue(2048, 8 << 20, 512);
    let mut taken = 0u64;
    std::thread::scope(|scope| {
        let producers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let queue = &queue;
                scope.spawn(move || {
                    for i in 0..ITEMS {
                        let error = (i + thread) % 10 == 0;
                        let priority = if error { Priority::Error } else { Priority::Normal };
                        queue.push("s", priority, &vec![b'x'; (i % 300) as usize]);
                    }
                })
            })
            .collect();
        while producers.iter().any(|producer| !producer.is_finished()) {
            queue.take(&mut |_, _, message| {
                assert!(message.len() < 300 && message.iter().all(|byte| *byte == b'x'));
                taken += 1;
            });
        }
    });
    queue.drain(&mut |_, _, _| taken += 1);
    assert_eq!(queue.waiting(), Amount::default());
    let counts = account.read();
    assert_eq!(counts.dropped_total(), counts.dropped(Dropped::QueueFull));
    assert_eq!(taken + counts.dropped_total(), THREADS * ITEMS);
}
