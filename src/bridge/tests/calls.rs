//! Results, panics, nesting, many at once, and where a call may be made.

use super::*;

#[test]
fn results_and_panics_come_back_from_every_portal() {
    let (worker, io) = (worker(), io());
    assert_eq!(call(&worker, || 1).result(), Ok(1));
    assert_eq!(call(&io, || 2).result(), Ok(2));
    assert_eq!(call(&io, async { 3 }).result(), Ok(3));
    assert_eq!(block_on(call(&worker, || 4).into_future()), Ok(4));
    assert_eq!(block_on(call(&io, async { 5 }).into_future()), Ok(5));
    assert_eq!(io.run(async { Err::<(), _>("kept") }), Ok(Err("kept")));

    let number = 7;
    let error = panicked("number 7");
    assert_eq!(
        call(&worker, move || panic!("number {number}")).result(),
        Err::<(), _>(error.clone())
    );
    assert_eq!(
        call(&io, move || panic!("number {number}")).result(),
        Err::<(), _>(error.clone())
    );
    assert_eq!(
        io.run(async move { panic!("number {number}") }),
        Err::<(), _>(error)
    );
    // After a panic the threads go on.
    assert_eq!(call(&worker, || 1).result(), Ok(1));
    assert_eq!(io.run(async { 1 }), Ok(1));
}

#[test]
fn results_and_panics_go_back_to_whoever_calls_back() {
    let waiter = Waiter::new();
    let here = waiter.portal();
    let here_too = waiter.portal();
    let outer = call(&io(), async move {
        let value = call(&here, || 20).await;
        let panic = call(&here_too, || -> () { panic!("in a callback") }).await;
        (value, panic)
    });
    let expected = (Ok(20), Err(panicked("in a callback")));
    assert_eq!(waiter.wait(outer), Ok(expected));

    let jobs = LocalJobs::new();
    let here = jobs.portal();
    let outer = call(&worker(), move || {
        let panic = call(&here, || -> () { panic!("in a callback") }).result();
        (call(&here, || 20).result(), panic)
    });
    let expected = (Ok(20), Err(panicked("in a callback")));
    assert_eq!(block_on(from_async(outer, &jobs)), Ok(expected));
}

#[test]
fn calls_nest_from_both_sides() {
    let io = io();
    // From async code to a blocking closure to async code to another closure.
    let (inner_worker, inner_io) = (worker(), io.clone());
    let depth = io.run(async move {
        let innermost = async { call(&worker(), || 3).await };
        call(&inner_worker, move || inner_io.run(innermost)).await
    });
    assert_eq!(depth, Ok(Ok(Ok(Ok(3)))));

    // From blocking code to async code to a callback that makes a call of its own.
    let waiter = Waiter::new();
    let (here, inner_io) = (waiter.portal(), io.clone());
    let outer = call(&io, async move {
        call(&here, move || inner_io.run(async { 4 })).await
    });
    assert_eq!(waiter.wait(outer), Ok(Ok(Ok(4))));

    // A wait within a callback of a wait.
    let waiter = Waiter::new();
    let here = waiter.portal();
    let inner_io = io.clone();
    let outer = call(&io, async move {
        call(&here, move || {
            let waiter = Waiter::new();
            let here = waiter.portal();
            waiter.wait(call(&inner_io, async move { call(&here, || 5).await }))
        })
        .await
    });
    assert_eq!(waiter.wait(outer), Ok(Ok(Ok(Ok(5)))));
}

#[test]
fn a_thousand_calls_at_once() {
    let (worker, io) = (Arc::new(worker()), io());
    let calls: Vec<_> = (0..1_000)
        .map(|number| call(&io, async move { number }))
        .collect();
    let jobs: Vec<_> = (0..1_000)
        .map(|number| call(&worker, move || number))
        .collect();
    let both = calls.into_iter().zip(jobs);
    for (number, (future, closure)) in both.enumerate() {
        assert_eq!(
            (future.result(), closure.result()),
            (Ok(number), Ok(number))
        );
    }

    // From a hundred threads, each through the worker to the I/O thread and back.
    let total: usize = thread::scope(|scope| {
        let ask = |number: usize| {
            let (worker, io) = (worker.clone(), io.clone());
            move || {
                let nested = |_| {
                    let io = io.clone();
                    let inner = call(&worker, move || io.run(async move { number }));
                    inner.result().unwrap().unwrap()
                };
                (0..10).map(nested).sum::<usize>()
            }
        };
        let threads: Vec<_> = (0..100).map(|number| scope.spawn(ask(number))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(total, (0..100).sum::<usize>() * 10);
}

#[test]
fn waiting_on_the_io_thread_is_an_error_and_not_a_deadlock() {
    let (first, second, worker) = (io(), io(), Arc::new(worker()));
    let (own, other, blocking) = (first.clone(), second.clone(), worker.clone());
    let waits = async move {
        let began = Arc::new(AtomicUsize::new(0));
        let count = began.clone();
        let run = own.run(async move { count.fetch_add(1, Ordering::Relaxed) });
        let waiter = Waiter::new();
        let waited = waiter.wait(call(&own, async {}));
        let all = [
            is_own_thread(run),
            is_own_thread(call(&own, async {}).result()),
            is_own_thread(call(&own, || ()).result()),
            is_own_thread(other.run(async {})),
            is_own_thread(call(&*blocking, until_cancelled).result()),
            is_own_thread(waited),
        ];
        (all, began.load(Ordering::Relaxed), own.drain(LONG))
    };
    let (all, began, held) = first.run_within(LONG, waits).unwrap();
    assert_eq!((all, began), ([true; 6], 0));
    assert!(held > 0, "the one that asks is still there");

    // On the thread of a worker, the same for that worker alone.
    let (own, other) = (worker.clone(), second.clone());
    let outcome = call(&*worker, move || {
        (call(&*own, || ()).result(), other.run(async { 1 }))
    });
    let (own, other) = outcome.result().unwrap();
    assert!(is_own_thread(own));
    assert_eq!(other, Ok(1));

    // And for callbacks to oneself.
    let jobs = LocalJobs::new();
    assert!(is_own_thread(call(&jobs.portal(), || ()).result()));
}

#[test]
fn blocking_calls_work_within_runtimes() {
    let ask = || io_thread().run(async { tokio::time::sleep(Duration::from_millis(1)).await });
    let current = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    assert_eq!(current.block_on(async { ask() }), Ok(()));
    let several = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    assert_eq!(
        several.block_on(async { tokio::spawn(async move { ask() }).await.unwrap() }),
        Ok(())
    );
    // Awaited there with a deadline, although that runtime has no timer of its own.
    let cancel = Cancel::within(SHORT);
    let worker = worker();
    let waits = async { call_with(&worker, &cancel, until_cancelled).await };
    assert_eq!(current.block_on(waits), Err(CallError::TimedOut));
    // A future of the bridge may outlive the runtime it was made in.
    let call = current.block_on(async { call(&io_thread(), async { 1 }) });
    drop(current);
    assert_eq!(call.result(), Ok(1));
}
