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

/// Writes an item as a span's end does.
fn write(queue: &Queue, outbox: &Outbox, message: &[u8]) {
    match outbox.write(queue, "s", |out| out.extend_from_slice(message)) {
        None => queue.push("s", Priority::Normal, message),
        Some(true) => queue.take_over(outbox),
        Some(false) => {}
    }
}

#[test]
fn what_lies_in_an_outbox_waits_and_another_thread_takes_it_in_order() {
    let (queue, _) = queue(2048, 8 << 20, 512);
    let texts: Vec<String> = (0..100).map(|i| format!("item {i}")).collect();
    let bytes = texts.iter().map(String::len).sum();
    let expect: Vec<_> = texts.iter().map(|text| ("s", Priority::Normal, text.clone())).collect();
    for (writer, taker) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let write_all = || {
            SHARD.set(writer);
            let outbox = queue.outbox().unwrap();
            for (before, text) in texts.iter().enumerate() {
                assert_eq!(queue.waiting().items, before);
                write(&queue, &outbox, text.as_bytes());
            }
        };
        std::thread::scope(|scope| scope.spawn(write_all).join()).unwrap();
        assert_eq!(queue.waiting(), Amount { items: 100, bytes });
        SHARD.set(taker);
        assert_eq!(drained(&queue), expect);
        assert_eq!(queue.waiting(), Amount::default());
    }
}

/// A batch that is full by what comes out of outboxes is told like any other.
#[test]
fn outboxes_that_fill_a_batch_wake_whoever_takes_it() {
    let (queue, _) = queue(2048, 8 << 20, 64);
    let outbox = queue.outbox().unwrap();
    for _ in 0..64 {
        assert!(!is_woken(&queue));
        write(&queue, &outbox, b"item");
    }
    assert!(is_woken(&queue));
}

fn is_woken(queue: &Queue) -> bool {
    use std::future::Future;
    let mut woken = std::pin::pin!(queue.wake().notified());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    woken.as_mut().poll(&mut context).is_ready()
}

#[test]
fn an_outbox_for_which_there_is_no_room_drops_what_came_last() {
    let (queue, account) = queue(130, 8 << 20, 130);
    let outbox = queue.outbox().unwrap();
    for i in 0..140 {
        write(&queue, &outbox, format!("{i:03}").as_bytes());
    }
    let all: Vec<_> = drained(&queue).into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(all, (0..130).map(|i| format!("{i:03}")).collect::<Vec<_>>());
    assert_eq!(account.read().dropped(Dropped::QueueFull), 10);
}

#[test]
fn an_outbox_is_found_when_its_thread_has_ended_and_its_place_is_free() {
    let (queue, account) = queue(1 << 20, 1 << 30, 512);
    let threads = 300;
    for _ in 0..threads {
        let work = || {
            let outbox = queue.outbox().expect("those of threads that ended make room");
            write(&queue, &outbox, b"last words");
        };
        std::thread::scope(|scope| scope.spawn(work).join()).unwrap();
    }
    assert_eq!(drained(&queue).len(), threads);
    let held: Vec<_> = std::iter::from_fn(|| queue.outbox()).collect();
    assert!(held.len() < 100, "there is a limit");
    assert_eq!(account.read(), crate::account::Counts::default());
}

#[test]
fn a_closed_queue_counts_what_lies_in_outboxes_and_takes_no_more() {
    let (queue, account) = queue(2048, 8 << 20, 512);
    let outbox = queue.outbox().unwrap();
    write(&queue, &outbox, b"waits");
    queue.close();
    write(&queue, &outbox, b"late");
    assert!(queue.outbox().is_none());
    assert_eq!(account.read().dropped(Dropped::Shutdown), 2);
    assert_eq!(queue.waiting(), Amount::default());
}

#[test]
fn an_outbox_leaves_out_an_item_that_no_batch_can_hold() {
    let (queue, account) = queue(2048, 64 << 20, 512);
    let outbox = queue.outbox().unwrap();
    write(&queue, &outbox, b"before");
    write(&queue, &outbox, &vec![0; BATCH_BYTES_MAX + 1]);
    write(&queue, &outbox, b"after");
    assert_eq!(account.read().dropped(Dropped::TooLarge), 1);
    let all: Vec<_> = drained(&queue).into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(all, ["before", "after"]);
}

#[test]
fn an_item_that_panics_half_way_leaves_nothing_in_the_outbox() {
    let (queue, _) = queue(2048, 8 << 20, 512);
    let outbox = queue.outbox().unwrap();
    let panic = |out: &mut Vec<u8>| {
        out.extend_from_slice(b"half");
        panic!("on purpose");
    };
    let break_off = || {
        let caught = std::panic::AssertUnwindSafe(|| outbox.write(&queue, "s", panic));
        assert!(std::panic::catch_unwind(caught).is_err());
    };
    write(&queue, &outbox, b"before");
    break_off();
    write(&queue, &outbox, b"after");
    break_off();
    assert_eq!(queue.waiting(), Amount { items: 2, bytes: 11 });
    let all: Vec<_> = drained(&queue).into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(all, ["before", "after"]);
    assert_eq!(queue.waiting(), Amount::default());
}

/// A queue whose batches are small hands on each item by itself.
#[test]
fn a_small_queue_has_no_outboxes() {
    assert!(queue(100, 8 << 20, 512).0.outbox().is_none());
    assert!(queue(2048, 8 << 20, 10).0.outbox().is_none());
}

#[test]
fn t7_threads_with_outboxes_lose_nothing_uncounted_while_one_takes_and_one_closes() {
    const THREADS: u64 = 4;
    const ITEMS: u64 = 20_000;
    let (queue, account) = queue(2048, 8 << 20, 512);
    let mut taken = 0u64;
    std::thread::scope(|scope| {
        let producers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let queue = &queue;
                scope.spawn(move || {
                    let mut outbox = queue.outbox();
                    for i in 0..ITEMS {
                        let message = vec![b'x'; (i % 300) as usize];
                        match &outbox {
                            Some(outbox) if (i + thread) % 10 != 0 => {
                                write(queue, outbox, &message);
                            }
                            _ => queue.push("s", Priority::Error, &message),
                        }
                        if i % 1000 == 0 {
                            outbox = queue.outbox();
                        }
                    }
                })
            })
            .collect();
        while producers.iter().any(|producer| !producer.is_finished()) {
            queue.take(&mut |_, _, message| {
                assert!(message.len() < 300 && message.iter().all(|byte| *byte == b'x'));
                taken += 1;
            });
            if taken > THREADS * ITEMS / 4 {
                queue.close();
            }
        }
    });
    queue.drain(&mut |_, _, _| taken += 1);
    assert_eq!(queue.waiting(), Amount::default());
    let counts = account.read();
    let dropped = counts.dropped(Dropped::QueueFull) + counts.dropped(Dropped::Shutdown);
    assert_eq!(counts.dropped_total(), dropped);
    assert_eq!(taken + dropped, THREADS * ITEMS);
}
