//! Portals that are closed, full or draining.

use super::*;

#[test]
fn closed_portals_refuse_and_say_who_they_are() {
    let (worker, io) = (worker(), io());
    worker.close();
    io.close();
    assert_eq!(call(&worker, || 1).result(), Err(ended("test-worker")));
    assert_eq!(call(&io, || 1).result(), Err(ended("test-io")));
    assert_eq!(io.run(async { 1 }), Err(ended("test-io")));
    assert_eq!(
        block_on(call(&io, async { 1 }).into_future()),
        Err(ended("test-io"))
    );
    assert!(matches!(io.spawn(async {}), Err(Closed::Ended { .. })));
    let text = ended("test-io").to_string();
    assert_eq!(
        text,
        "test-io was closed before the work was done: submit it before closing, or start another"
    );
}

#[test]
fn a_full_queue_refuses_and_blocks_nobody() {
    let worker = worker();
    let open = occupy(&worker);
    for _ in 0..WORKER_JOBS {
        worker.submit(Job::new(|| ())).unwrap();
    }
    let full = Closed::Full {
        portal: "test-worker".to_owned(),
        bound: WORKER_JOBS,
    };
    assert_eq!(call(&worker, || ()).result(), Err(CallError::Closed(full)));
    drop(open);
    assert_eq!(worker.drain(LONG), 0);

    let io = io();
    for _ in 0..IO_JOBS {
        io.spawn(pending()).unwrap();
    }
    assert!(matches!(
        io.run(async {}),
        Err(CallError::Closed(Closed::Full { .. }))
    ));
    assert_eq!(io.drain(Duration::ZERO), IO_JOBS);

    let jobs = LocalJobs::new();
    for _ in 0..LOCAL_JOBS {
        jobs.portal().submit(Job::new(|| ())).unwrap();
    }
    let refused = jobs.portal().submit(Job::new(|| ()));
    assert!(matches!(
        refused,
        Err(Closed::Full {
            bound: LOCAL_JOBS,
            ..
        })
    ));
}

#[test]
fn draining_waits_for_everything_that_was_taken() {
    let done = Arc::new(AtomicUsize::new(0));
    let (worker, io) = (worker(), io());
    let open = occupy(&worker);
    for _ in 0..100 {
        let count = done.clone();
        let job = move || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        worker.submit(Job::new(job)).unwrap();
        let count = done.clone();
        let cancel = Cancel::within(SHORT);
        let work = async move {
            // Timers go on while it drains.
            assert_eq!(cancel.cancelled().await, CallError::TimedOut);
            count.fetch_add(1, Ordering::Relaxed);
        };
        io.spawn(work).unwrap();
    }
    drop(open);
    assert_eq!((worker.drain(LONG), io.drain(LONG)), (0, 0));
    assert_eq!(done.load(Ordering::Relaxed), 200);
}

#[test]
fn dropping_a_thread_lets_it_run_out() {
    let (worker, io) = (worker(), io());
    let open = occupy(&worker);
    let (closure, (send, receive)) = (call(&worker, || 1), tokio::sync::oneshot::channel());
    let future = call(&io, receive);
    drop((worker, io));
    drop(open);
    send.send(2).unwrap();
    assert_eq!((closure.result(), future.result()), (Ok(1), Ok(Ok(2))));
}

#[test]
fn a_drain_that_takes_too_long_loses_no_waiter() {
    let (worker, io) = (worker(), io());
    let open = occupy(&worker);
    let queued = call(&worker, || 1);
    let running = call(&io, pending::<()>());
    assert_eq!((worker.drain(SHORT), io.drain(SHORT)), (2, 1));
    assert_eq!(queued.result(), Err(ended("test-worker")));
    assert_eq!(running.result(), Err(ended("test-io")));
    drop(open);
}

#[test]
fn a_service_hears_of_the_closing() {
    let io = io();
    let closing = io.closing();
    let service = call(&io, async move { closing.cancelled().await });
    assert_eq!(io.drain(LONG), 0);
    assert_eq!(service.result(), Ok(CallError::Cancelled));
}

#[test]
fn the_thread_of_the_process_is_one_for_all() {
    let threads: Vec<_> = (0..8)
        .map(|_| thread::spawn(|| io_thread().thread()))
        .collect();
    let first = io_thread().thread();
    assert!(first.is_some());
    for thread in threads {
        assert_eq!(thread.join().unwrap(), first);
    }
}

#[test]
fn a_thread_that_does_not_start_is_an_error() {
    assert!(WorkerThread::start("\0").is_err());
    assert!(IoThread::start("\0").is_err());
    // As the thread of the process is when the system gives none.
    let none = IoThread::or_refusing("\0");
    let outcome = none.run(async { 1 });
    let CallError::Closed(Closed::NotStarted { reason, .. }) = outcome.unwrap_err() else {
        panic!("another error");
    };
    assert!(reason.contains("NUL"), "{reason}");
    assert!(!none.is_open() && none.closing().is_cancelled());
    assert_eq!(none.drain(LONG), 0);
}
