//! Callbacks on the thread that waits.

use super::*;

#[test]
fn callbacks_run_in_order_on_the_thread_that_waits() {
    let main = thread::current().id();
    let order = Arc::new(Mutex::new(Vec::new()));
    let submit_all = |portal: Callbacks| {
        let order = order.clone();
        move || {
            for number in 0..200 {
                let order = order.clone();
                let note = move || order.lock().unwrap().push((number, thread::current().id()));
                portal.submit(Job::new(note)).unwrap();
            }
        }
    };
    let expected: Vec<_> = (0..200).map(|number| (number, main)).collect();

    let waiter = Waiter::within(LONG);
    let outer = call(&worker(), submit_all(waiter.portal()));
    waiter.wait(outer).unwrap();
    // Every one of them, although the call had ended before most of them ran.
    assert_eq!(std::mem::take(&mut *order.lock().unwrap()), expected);

    let jobs = LocalJobs::new();
    let outer = call(&worker(), submit_all(jobs.portal()));
    block_on(from_async(outer, &jobs)).unwrap();
    assert_eq!(*order.lock().unwrap(), expected);
}

#[test]
fn callbacks_after_the_wait_are_refused() {
    let waiter = Waiter::new();
    let late = waiter.portal();
    waiter.wait(call(&worker(), || ())).unwrap();
    assert!(is_ended(call(&late, || ()).result()));

    let jobs = LocalJobs::new();
    let late = jobs.portal();
    block_on(from_async(call(&worker(), || ()), &jobs)).unwrap();
    assert!(matches!(
        late.submit(Job::new(|| ())),
        Err(Closed::Ended { .. })
    ));

    // Neither does one wait for ever whose waiter is dropped without a wait.
    let waiter = Waiter::new();
    let queued = call(&waiter.portal(), || ());
    drop(waiter);
    assert!(is_ended(block_on(queued.into_future())));
}

#[test]
fn a_waiter_has_a_deadline_and_cancels_the_call_and_its_callbacks() {
    let worker = worker();
    let (how, refused) = in_time(|time| {
        let (stopped, stop) = mpsc::channel();
        let waiter = Waiter::within(time);
        let here = waiter.portal();
        let outer = call(&worker, move || {
            let how = until_cancelled();
            // Not inherited, so that it is the closing that refuses it, and not the cancel.
            let refused = call_with(&here, &Cancel::new(), || ()).result();
            stopped.send((how, refused)).unwrap();
        });
        assert_eq!(waiter.wait(outer), Err(CallError::TimedOut));
        stop.recv_timeout(LONG).ok()
    });
    assert_eq!(how, Err(CallError::Cancelled));
    assert!(is_ended(refused));

    // A callback that is still queued then does not run.
    let ran = Arc::new(AtomicUsize::new(0));
    let cancel = Cancel::new();
    let waiter = Waiter::with(cancel.clone());
    let here = waiter.portal();
    here.submit(Job::new(move || cancel.cancel())).unwrap();
    let count = ran.clone();
    let queued = call(&here, move || count.fetch_add(1, Ordering::Relaxed));
    let outcome = waiter.wait(call(&io(), pending::<()>()));
    assert_eq!(outcome, Err(CallError::Cancelled));
    assert!(is_ended(queued.result()));
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}
