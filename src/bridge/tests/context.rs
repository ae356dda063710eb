//! What goes along, and that nothing stays behind.

use super::*;

#[derive(Debug, PartialEq)]
struct Tenant(&'static str);

#[test]
fn values_go_along_and_nothing_stays_behind() {
    let seen = || Context::current().value::<Tenant>().map(|tenant| tenant.0);
    let (worker, io) = (worker(), io());
    let context = Context::current().with(Tenant("red")).with(1_u8);
    let everywhere = context.with(Tenant("blue")).run(|| {
        let waiter = Waiter::new();
        let here = waiter.portal();
        let called_back = call(&io, async move {
            tokio::task::yield_now().await;
            let other = Context::current().with(Tenant("green"));
            (seen(), other.run(|| call(&here, seen)).await)
        });
        let called_back = waiter.wait(called_back);
        let (send, spawned) = mpsc::channel();
        io.spawn(async move { send.send(seen()).unwrap() }).unwrap();
        let spawned = spawned.recv_timeout(LONG).unwrap();
        (call(&worker, seen).result(), called_back, spawned, seen())
    });
    let blue = Some("blue");
    let called_back = Ok((blue, Ok(Some("green"))));
    assert_eq!(everywhere, (Ok(blue), called_back, blue, blue));
    // The threads do not keep what they ran with, not after a panic either.
    let panics = || call(&worker, || -> () { panic!("on purpose") });
    let outcome = Context::current().with(Tenant("red")).run(panics).result();
    assert_eq!(outcome, Err(panicked("on purpose")));
    assert_eq!(call(&worker, seen).result(), Ok(None));
    assert_eq!(io.run(async move { seen() }), Ok(None));
    assert_eq!(seen(), None);
}

#[test]
fn destructors_run_in_the_context_of_their_future() {
    struct Tells(Sender<(bool, Result<(), CallError>)>);
    impl Drop for Tells {
        fn drop(&mut self) {
            let tenant = Context::current().value::<Tenant>();
            let told = (tenant.is_some(), Cancel::current().check());
            self.0.send(told).unwrap();
        }
    }
    let io = io();
    let cancelled = Cancel::new();
    cancelled.cancel();
    // While it waits, and before it began.
    for cancel in [Cancel::within(SHORT), cancelled] {
        let (send, told) = mpsc::channel();
        let tells = Tells(send);
        let work = async move {
            let _tells = tells;
            pending::<()>().await;
        };
        let make = || call_with(&io, &cancel, work);
        let outcome = Context::current().with(Tenant("blue")).run(make).result();
        assert_eq!(outcome.err(), cancel.check().err());
        // What they hand over is not cancelled with the call: it is the tidying up.
        assert_eq!(told.recv_timeout(LONG), Ok((true, Ok(()))));
    }
}

/// Where the log of a test goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_span_goes_along_with_its_subscriber() {
    let (worker, io, log) = (worker(), io(), Log::default());
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time()
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let note = |text: &'static str| move || tracing::info!("{text}");
        let _entered = tracing::info_span!("request", id = 7).entered();
        call(&worker, note("on the worker")).result().unwrap();
        let waiter = Waiter::new();
        let here = waiter.portal();
        let future = async move {
            tokio::task::yield_now().await;
            tracing::info!("on the I/O thread");
            let inner = tracing::info_span!("inner");
            let callback = inner.in_scope(|| call(&here, note("called back")));
            callback.await
        };
        waiter.wait(call(&io, future)).unwrap().unwrap();
        io.spawn(async move { note("spawned")() }).unwrap();
        assert_eq!(io.drain(LONG), 0);
        io.submit(Job::new(|| ())).unwrap_err();
        worker.submit(Job::new(|| panic!("on purpose"))).unwrap();
        assert_eq!(worker.drain(LONG), 0);
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for (spans, message) in [
        ("request{id=7}", "on the worker"),
        ("request{id=7}", "on the I/O thread"),
        ("request{id=7}:inner", "called back"),
        ("request{id=7}", "spawned"),
        ("request{id=7}", "a job panicked"),
    ] {
        let line = text.lines().find(|line| line.contains(message));
        let line = line.unwrap_or_else(|| panic!("no {message:?} in {text}"));
        assert!(
            line.contains(&format!("{spans}: ")),
            "{message:?} without {spans}: {line}"
        );
    }
}
