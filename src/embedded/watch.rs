//! Watches of an embedded client: each session is shown the claims that are its own.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::BoxStream;

use super::at_once::refused;
use super::store::Shared;
use crate::client::store::Watched;
use crate::ledger::Uid;

/// What changes of the claims of this session, from now on.
pub(super) fn of(shared: &Arc<Shared>, session: &str) -> BoxStream<'static, Watched> {
    let wake = shared.with(|world| world.sessions.open(session));
    let watch = Watch {
        shared: Arc::clone(shared),
        session: session.to_owned(),
        ready: VecDeque::from([Watched::Caught]),
    };
    futures::stream::unfold((watch, wake), |(mut watch, wake)| async move {
        loop {
            if let Some(watched) = watch.ready.pop_front() {
                return Some((watched, (watch, wake)));
            }
            let notified = wake.notified();
            watch.look();
            if watch.ready.is_empty() {
                notified.await;
            }
        }
    })
    .boxed()
}

/// What a watch has still to show.
struct Watch {
    shared: Arc<Shared>,
    session: String,
    ready: VecDeque<Watched>,
}

impl Watch {
    fn look(&mut self) {
        let (session, ready) = (&self.session, &mut self.ready);
        self.shared.with(|world| {
            for (name, uid) in world.sessions.take(session) {
                let row = world.row(&Uid::from(uid.as_str()));
                let Some(row) = row.filter(|row| row.spec.session == *session) else {
                    ready.push_back(Watched::Gone { name, uid });
                    continue;
                };
                let over = refused(row).then(|| row.view.uid.clone());
                ready.push_back(Watched::Version(Box::new(row.read())));
                if let Some(uid) = over {
                    // It was read, and holds nothing. That it is gone is no news, and would hide how it ended.
                    world.discard(&uid);
                }
            }
        });
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared
            .with(|world| world.sessions.close(&self.session));
    }
}
