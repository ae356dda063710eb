//! Cancels and deadlines: before, while and after, and what is delivered when.

use super::*;

/// Counts how often it was called.
fn counter() -> (Arc<AtomicUsize>, impl FnOnce() -> usize + Send + 'static) {
    let count = Arc::new(AtomicUsize::new(0));
    let ran = count.clone();
    (count, move || ran.fetch_add(1, Ordering::SeqCst))
}

/// Waits until something is true.
fn eventually(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < LONG, "waited in vain");
        thread::yield_now();
    }
}

#[test]
fn a_deadline_that_passes_in_the_queue() {
    let worker = worker();
    let open = occupy(&worker);
    let (count, body) = counter();
    let queued = call_with(&worker, &Cancel::within(SHORT), body);
    assert_eq!(queued.result(), Err(CallError::TimedOut));
    let (awaited_count, body) = counter();
    let queued = call_with(&worker, &Cancel::within(SHORT), body);
    assert_eq!(block_on(queued.into_future()), Err(CallError::TimedOut));
    drop(open);
    assert_eq!(worker.drain(LONG), 0);
    assert_eq!(
        (
            count.load(Ordering::SeqCst),
            awaited_count.load(Ordering::SeqCst)
        ),
        (0, 0)
    );
}

#[test]
fn a_deadline_that_passes_while_it_runs() {
    let (worker, io) = (worker(), io());
    let attempt = |time, wait: fn(Call<()>) -> Result<(), CallError>| {
        let (send, seen) = mpsc::channel();
        let body = move || send.send(until_cancelled()).unwrap();
        let running = call_with(&worker, &Cancel::within(time), body);
        assert_eq!(wait(running), Err(CallError::TimedOut));
        seen.recv_timeout(LONG).ok()
    };
    let same = Err(CallError::TimedOut);
    assert_eq!(in_time(|time| attempt(time, Call::result)), same);
    let awaits = |call: Call<()>| block_on(call.into_future());
    assert_eq!(in_time(|time| attempt(time, awaits)), same);

    let never = || call_with(&io, &Cancel::within(SHORT), pending::<()>());
    assert_eq!(never().result(), Err(CallError::TimedOut));
    assert_eq!(block_on(never().into_future()), Err(CallError::TimedOut));
    assert_eq!(
        io.run_within(SHORT, pending::<()>()),
        Err(CallError::TimedOut)
    );
    // What was dropped is held no more.
    assert_eq!(io.drain(LONG), 0);
}

#[test]
fn a_result_that_was_there_before_its_deadline_stands() {
    let io = io();
    in_time(|time| {
        let worker = worker();
        let cancel = Cancel::within(time);
        let closure = call_with(&worker, &cancel, || 1);
        let future = call_with(&io, &cancel, async { 2 });
        let awaited = call_with(&worker, &cancel, || 3).into_future();
        eventually(|| closure.is_done() && future.is_done());
        assert_eq!(worker.drain(LONG), 0);
        if cancel.is_cancelled() {
            return None;
        }
        eventually(|| cancel.is_cancelled());
        assert!(!closure.cancel() && !future.cancel());
        assert_eq!((closure.result(), future.result()), (Ok(1), Ok(2)));
        assert_eq!(block_on(awaited), Ok(3));
        Some(())
    });
}

#[test]
fn a_cancel_before_it_begins() {
    let (worker, io) = (worker(), io());
    let cancel = Cancel::new();
    cancel.cancel();
    let (count, body) = counter();
    assert_eq!(
        call_with(&worker, &cancel, body).result(),
        Err(CallError::Cancelled)
    );
    let polled = count.clone();
    let future = async move { polled.fetch_add(1, Ordering::SeqCst) };
    assert_eq!(io.run_with(&cancel, future), Err(CallError::Cancelled));

    let open = occupy(&worker);
    let (queued_count, body) = counter();
    let queued = call(&worker, body);
    assert!(queued.cancel() && queued.cancel(), "twice is true");
    let (dropped_count, body) = counter();
    drop(call(&worker, body));
    let (detached_count, body) = counter();
    call(&worker, body).detach();
    drop(open);
    assert_eq!(worker.drain(LONG), 0);
    assert_eq!(queued.result(), Err(CallError::Cancelled));
    let counts = [count, queued_count, dropped_count, detached_count];
    assert_eq!(
        counts.map(|count| count.load(Ordering::SeqCst)),
        [0, 0, 0, 1]
    );
}

#[test]
fn a_cancel_while_it_runs() {
    let (worker, io) = (worker(), io());
    let (started, begun) = mpsc::channel();
    let (send, seen) = mpsc::channel();
    let body = |started: Sender<()>, send: Sender<_>| {
        move || {
            started.send(()).unwrap();
            send.send(until_cancelled()).unwrap();
        }
    };
    // From another thread, while this one waits.
    let running = call(&worker, body(started.clone(), send.clone()));
    let cancel = running.cancel_handle();
    let other = thread::spawn(move || {
        begun.recv_timeout(LONG).unwrap();
        cancel.cancel();
        begun
    });
    assert_eq!(running.result(), Err(CallError::Cancelled));
    assert_eq!(seen.recv_timeout(LONG), Ok(Err(CallError::Cancelled)));
    let begun = other.join().unwrap();

    // By dropping the future of it.
    let running = call(&worker, body(started.clone(), send.clone())).into_future();
    begun.recv_timeout(LONG).unwrap();
    drop(running);
    assert_eq!(seen.recv_timeout(LONG), Ok(Err(CallError::Cancelled)));

    // A future is dropped where it waits.
    let alive = Arc::new(());
    let held = alive.clone();
    let running = call(&io, async move {
        started.send(()).unwrap();
        pending::<()>().await;
        drop(held);
    });
    begun.recv_timeout(LONG).unwrap();
    assert!(running.cancel());
    assert_eq!(running.result(), Err(CallError::Cancelled));
    eventually(|| Arc::strong_count(&alive) == 1);
}

#[test]
fn a_value_that_comes_too_late_is_dropped_where_it_was_made() {
    struct Guard(Sender<Option<String>>);
    impl Drop for Guard {
        fn drop(&mut self) {
            let name = thread::current().name().map(str::to_owned);
            self.0.send(name).unwrap();
        }
    }
    let worker = worker();
    let thread = in_time(|time| {
        let (released, release) = mpsc::channel();
        let outcome = call_with(&worker, &Cancel::within(time), move || {
            let guard = Guard(released);
            until_cancelled().map_or_else(|_| guard, |()| panic!("not cancelled"))
        });
        assert_eq!(outcome.result().err(), Some(CallError::TimedOut));
        release.recv_timeout(LONG).ok()
    });
    assert_eq!(thread, Some("test-worker".to_owned()));
}

#[test]
fn a_cancel_after_the_end_changes_nothing() {
    let (worker, io) = (worker(), io());
    let (closure, future) = (call(&worker, || 1), call(&io, async { 2 }));
    let panic = call(&worker, || -> () { panic!("on purpose") });
    eventually(|| closure.is_done() && future.is_done() && panic.is_done());
    assert!(!closure.cancel() && !future.cancel() && !panic.cancel());
    assert_eq!((closure.result(), future.result()), (Ok(1), Ok(2)));
    assert_eq!(panic.result(), Err(panicked("on purpose")));
}

#[test]
fn inner_calls_are_cancelled_with_the_outer() {
    let (worker, io) = (worker(), io());
    let seen = in_time(|time| {
        let (send, seen) = mpsc::channel();
        let inner = io.clone();
        let outer = call_with(&worker, &Cancel::within(time), move || {
            let from_closure = inner.run(pending::<()>());
            // What is handed over and forgotten is not.
            let (told, tell) = mpsc::channel();
            let forgotten = async move { told.send(Cancel::current().check()).unwrap() };
            inner.spawn(forgotten).unwrap();
            let told = tell.recv_timeout(LONG).unwrap();
            send.send((from_closure, told)).unwrap();
        });
        assert_eq!(outer.result(), Err(CallError::TimedOut));
        seen.recv_timeout(LONG).ok()
    });
    assert_eq!(seen, (Err(CallError::TimedOut), Ok(())));
}

#[test]
fn children_hear_parents_and_the_earlier_deadline_counts() {
    let parent = Cancel::within(LONG);
    let (longer, shorter) = (
        parent.child_within(2 * LONG),
        parent.child_within(Duration::ZERO),
    );
    assert_eq!(longer.deadline(), parent.deadline());
    assert_eq!(shorter.check(), Err(CallError::TimedOut));
    assert_eq!((longer.check(), parent.check()), (Ok(()), Ok(())));
    let grandchild = longer.child();
    let waiting = thread::spawn(move || block_on(grandchild.cancelled()));
    parent.cancel();
    assert_eq!(waiting.join().unwrap(), CallError::Cancelled);
    assert_eq!(longer.check(), Err(CallError::Cancelled));
    assert_eq!(Cancel::within(Duration::MAX).deadline(), None);
    // Very deep ones are dropped without a stack as deep.
    let deep = (0..1_000_000).fold(parent, |above, _| above.child());
    assert_eq!(deep.check(), Err(CallError::Cancelled));
}

#[test]
fn shields_delay_and_nest() {
    let parent = Cancel::new();
    let (child, sibling) = (parent.child_within(SHORT), parent.child());
    let (outer, inner) = (child.shield(), child.shield());
    let grandchild = child.child();
    eventually(|| {
        child
            .deadline()
            .is_some_and(|deadline| deadline < Instant::now())
    });
    parent.cancel();
    assert_eq!(
        sibling.check(),
        Err(CallError::Cancelled),
        "the shield is of the child alone"
    );
    assert_eq!((child.check(), grandchild.check()), (Ok(()), Ok(())));
    // Work beneath it goes on, past the deadline too.
    let io = io();
    assert_eq!(io.run_with(&child, async { 1 }), Ok(1));
    let own = grandchild.child();
    own.cancel();
    assert!(
        own.is_cancelled(),
        "what is cancelled within a shield is not shielded by it"
    );

    let late = child.clone();
    let waiting = thread::spawn(move || block_on(late.cancelled()));
    drop(outer);
    assert_eq!(child.check(), Ok(()));
    assert!(!waiting.is_finished());
    drop(inner);
    assert_eq!(waiting.join().unwrap(), CallError::TimedOut);
    assert_eq!(grandchild.check(), Err(CallError::TimedOut));
}

#[test]
fn a_call_that_shields_itself_ends_and_is_then_cancelled() {
    let (worker, io) = (worker(), io());
    let (shielded, shield) = mpsc::channel();
    let (open, opened) = mpsc::channel::<()>();
    let (send, inner) = mpsc::channel();
    let running = call(&worker, move || {
        let cancel = Cancel::current();
        let _shield = cancel.shield();
        shielded.send(()).unwrap();
        let _ = opened.recv_timeout(LONG);
        // Cancelled by now, but this is done all the same.
        send.send((cancel.check(), io.run(async { 1 }))).unwrap();
    });
    shield.recv_timeout(LONG).unwrap();
    assert!(running.cancel());
    assert!(!running.is_done());
    drop(open);
    assert_eq!(running.result(), Err(CallError::Cancelled));
    assert_eq!(inner.recv_timeout(LONG), Ok((Ok(()), Ok(1))));
}

#[test]
fn timers_are_given_back() {
    let io = io();
    let cancel = Cancel::within(LONG);
    let watched = io.run(async move {
        for _ in 0..2 * IO_TIMERS {
            let waiting = std::pin::pin!(cancel.cancelled());
            let now = std::future::ready(());
            futures::future::select(waiting, now).await;
            tokio::task::yield_now().await;
        }
        cancel.check()
    });
    assert_eq!(watched, Ok(Ok(())));
}

#[test]
fn another_thread_takes_over_the_timers_of_one_that_ended() {
    let waiting = in_time(|time| {
        let io = io();
        let cancel = Cancel::within(time);
        let watched = cancel.clone();
        // Its timer is of the thread that it was polled on first.
        let begin = async move {
            let mut waiting = Box::pin(watched.cancelled());
            let pending = futures::poll!(&mut waiting).is_pending();
            pending.then_some(waiting)
        };
        let waiting = io.run(begin).unwrap()?;
        assert_eq!(io.drain(LONG), 0);
        cancel.check().is_ok().then_some(waiting)
    });
    assert_eq!(block_on(waiting), CallError::TimedOut);
}
