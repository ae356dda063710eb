//! Watches etcd from a revision to its present one, through the JSON gateway on its client port.
//!
//! The gateway's plain HTTP answers one request with one stream, and such a stream never says when it has caught up:
//! the last event before the end could always be one more. etcd does say so when it is asked ("progress request") on
//! the stream of the watch itself, so the watch runs over a WebSocket, which the gateway speaks as well. Nothing is
//! ever written to etcd. Tested against a real control plane in `testenv/tests/history.rs`; the messages here.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::error::Error;

/// Most time for a whole history, in seconds.
const DEADLINE_SECONDS: u64 = 120;
/// How often etcd is asked whether everything was delivered: it says nothing while the answer is no.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// Largest message, in bytes: one may carry a thousand versions of a status with a thousand leases.
const MESSAGE_MAX: usize = 1 << 30;

/// A range of keys.
pub(super) struct Range {
    /// Every key of the range begins with this.
    pub(super) prefix: String,
}

/// One write.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) revision: i64,
    pub(super) key: String,
    /// `None`: deleted.
    pub(super) value: Option<Vec<u8>>,
}

/// All writes to the ranges, up to and with a revision.
pub(super) struct Writes {
    pub(super) writes: Vec<Write>,
    pub(super) revision: i64,
}

/// Reads all writes to these ranges from this revision on to at least the store's present revision.
pub(super) async fn read(url: &str, ranges: &[Range], from: i64) -> Result<Writes, Error> {
    let deadline = Duration::from_secs(DEADLINE_SECONDS);
    tokio::time::timeout(deadline, watch(url, ranges, from))
        .await
        .map_err(|_| Error::Deadline {
            seconds: DEADLINE_SECONDS,
        })?
}

async fn watch(url: &str, ranges: &[Range], from: i64) -> Result<Writes, Error> {
    let failed = |reason: String| Error::Connection {
        url: url.to_owned(),
        reason,
    };
    let address = format!(
        "{}/v3/watch",
        url.trim_end_matches('/').replacen("http", "ws", 1)
    );
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    let (mut socket, _) = tokio_tungstenite::connect_async_with_config(address, Some(config), true)
        .await
        .map_err(|error| failed(error.to_string()))?;
    for range in ranges {
        let request = Message::text(create_request(&range.prefix, from).to_string());
        socket
            .send(request)
            .await
            .map_err(|error| failed(error.to_string()))?;
    }
    let mut progress = Progress::new(ranges.len());
    let mut ask = tokio::time::interval(ASK_EVERY);
    while progress.complete_at.is_none() {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => progress.take(text.as_bytes())?,
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(failed(error.to_string())),
                None => return Err(failed("it closed the connection".into())),
            },
            _ = ask.tick(), if progress.all_created() => {
                let request = Message::text(json!({"progress_request": {}}).to_string());
                socket.send(request).await.map_err(|error| failed(error.to_string()))?;
            }
        }
    }
    let revision = progress.complete_at.unwrap_or_default();
    let mut writes = progress.writes;
    writes.retain(|write| write.revision <= revision);
    Ok(Writes { writes, revision })
}

fn create_request(prefix: &str, from: i64) -> Value {
    json!({"create_request": {
        "key": BASE64.encode(prefix),
        "range_end": BASE64.encode(end_of(prefix)),
        "start_revision": from.to_string(),
    }})
}

/// The first key after all that begin with the prefix.
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    end
}

/// What the stream has said so far.
struct Progress {
    awaited: usize,
    created: usize,
    /// The store's revision when the last watch began: all up to there must be delivered.
    target: i64,
    writes: Vec<Write>,
    complete_at: Option<i64>,
}

impl Progress {
    fn new(awaited: usize) -> Self {
        Self {
            awaited,
            created: 0,
            target: 0,
            writes: Vec::new(),
            complete_at: None,
        }
    }

    fn all_created(&self) -> bool {
        self.created == self.awaited
    }

    /// Takes one message of the stream.
    fn take(&mut self, message: &[u8]) -> Result<(), Error> {
        let message: StreamMessage = serde_json::from_slice(message)
            .map_err(|error| Error::Answer(format!("{error} in a message of the watch")))?;
        if let Some(error) = message.error {
            return Err(Error::Refused(error.to_string()));
        }
        let Some(answer) = message.result else {
            return Err(Error::Answer(
                "a message has neither result nor error".into(),
            ));
        };
        let revision = number(&answer.header.revision)?;
        if answer.canceled {
            return Err(match number(&answer.compact_revision)? {
                0 => Error::Refused(answer.cancel_reason),
                compacted => Error::Compacted { compacted },
            });
        }
        if answer.created {
            self.created += 1;
            self.target = self.target.max(revision);
        } else if answer.events.is_empty() {
            // The answer to a progress request: sent behind every event up to this revision, of all watches.
            if self.all_created() && revision >= self.target {
                self.complete_at = Some(revision);
            }
        }
        for event in answer.events {
            self.writes.push(event.read()?);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct StreamMessage {
    result: Option<Answer>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Answer {
    header: Header,
    created: bool,
    canceled: bool,
    cancel_reason: String,
    compact_revision: String,
    events: Vec<Event>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Header {
    revision: String,
}

#[derive(Deserialize)]
struct Event {
    /// Absent: PUT.
    #[serde(default, rename = "type")]
    kind: String,
    kv: KeyValue,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    mod_revision: String,
    #[serde(default)]
    value: String,
}

impl Event {
    fn read(self) -> Result<Write, Error> {
        let key = String::from_utf8(bytes(&self.kv.key)?)
            .map_err(|error| Error::Answer(format!("a key is not UTF-8: {error}")))?;
        let deleted = self.kind == "DELETE";
        let value = if deleted {
            None
        } else {
            Some(bytes(&self.kv.value)?)
        };
        Ok(Write {
            revision: number(&self.kv.mod_revision)?,
            key,
            value,
        })
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, Error> {
    BASE64
        .decode(text)
        .map_err(|error| Error::Answer(format!("base64: {error}")))
}

/// Reads an int64, which the gateway writes as a string and leaves out when it is 0.
fn number(text: &str) -> Result<i64, Error> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse()
        .map_err(|_| Error::Answer(format!("{text:?} is no number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(progress: &mut Progress, message: Value) -> Result<(), Error> {
        progress.take(message.to_string().as_bytes())
    }

    #[test]
    fn a_stream_is_complete_only_when_etcd_says_so() {
        let mut progress = Progress::new(2);
        let created = |revision: &str| json!({"result": {"header": {"revision": revision}, "watch_id": "1", "created": true}});
        message(&mut progress, created("7")).unwrap();
        assert!(!progress.all_created());
        message(&mut progress, created("9")).unwrap();
        let put = json!({"kv": {"key": BASE64.encode("/a"), "mod_revision": "9", "value": BASE64.encode("{}")}});
        let delete =
            json!({"type": "DELETE", "kv": {"key": BASE64.encode("/a"), "mod_revision": "10"}});
        let events = json!({"result": {"header": {"revision": "10"}, "events": [put, delete]}});
        message(&mut progress, events).unwrap();
        message(
            &mut progress,
            json!({"result": {"header": {"revision": "8"}}}),
        )
        .unwrap();
        assert_eq!(progress.complete_at, None);
        message(
            &mut progress,
            json!({"result": {"header": {"revision": "10"}}}),
        )
        .unwrap();
        assert_eq!(progress.complete_at, Some(10));
        let write = |revision, value: Option<&str>| Write {
            revision,
            key: "/a".into(),
            value: value.map(|it| it.as_bytes().to_vec()),
        };
        assert_eq!(progress.writes, [write(9, Some("{}")), write(10, None)]);
    }

    #[test]
    fn a_compacted_store_is_named() {
        let cancelled = json!({"result": {"canceled": true, "compact_revision": "100"}});
        let error = message(&mut Progress::new(1), cancelled).unwrap_err();
        assert!(
            matches!(error, Error::Compacted { compacted: 100 }),
            "{error}"
        );
    }

    #[test]
    fn an_error_of_the_gateway_is_told() {
        let refused = json!({"error": {"code": 3, "message": "no such thing"}});
        let error = message(&mut Progress::new(1), refused).unwrap_err();
        assert!(error.to_string().contains("no such thing"), "{error}");
    }

    #[test]
    fn a_prefix_ends_before_its_neighbour() {
        assert_eq!(end_of("/pods/"), b"/pods0");
    }
}
