//! What watches of sessions have still to show: names of claims that have changed, each once, however often it changed.
//!
//! Bounded by the number of claims.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::Notify;

use super::row::Row;

/// Sessions that somebody watches.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<String, Session>);

/// One of them.
#[derive(Debug, Default)]
struct Session {
    /// Names of what changed, with their UIDs.
    changed: BTreeMap<String, String>,
    wake: Arc<Notify>,
}

impl Sessions {
    /// Somebody watches a session from now on.
    pub(super) fn open(&mut self, session: &str) -> Arc<Notify> {
        let session = self.0.entry(session.to_owned()).or_default();
        Arc::clone(&session.wake)
    }

    /// Nobody watches it any more.
    pub(super) fn close(&mut self, session: &str) {
        self.0.remove(session);
    }

    /// A claim has changed.
    pub(super) fn note(&mut self, row: &Row) {
        if row.holder.is_none() {
            self.add(row);
        }
    }

    /// A claim is gone.
    pub(super) fn note_gone(&mut self, row: &Row) {
        if row.holder.is_none() {
            self.add(row);
        }
    }

    fn add(&mut self, row: &Row) {
        let Some(session) = self.0.get_mut(&row.spec.session) else {
            return;
        };
        let name = row.view.name.to_string();
        session.changed.insert(name, row.view.uid.to_string());
        session.wake.notify_one();
    }

    /// What has changed of a claim need not be shown.
    pub(super) fn forget(&mut self, session: &str, name: &str) {
        if let Some(session) = self.0.get_mut(session) {
            session.changed.remove(name);
        }
    }

    /// What has changed since the last time.
    pub(super) fn take(&mut self, session: &str) -> BTreeMap<String, String> {
        let session = self.0.get_mut(session);
        session
            .map(|it| std::mem::take(&mut it.changed))
            .unwrap_or_default()
    }
}
