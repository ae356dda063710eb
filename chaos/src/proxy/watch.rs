//! A watch: one event on each line, passed on, held up, left out, broken off.

use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::fault::{Fault, WatchFault};
use super::state::{Line, State};
use super::unary::{refusal, whole};
use super::upstream::{Answer, Sent};
use super::{Body, Cut};
use crate::tally::Deed;

/// Chunks that wait for a slow client.
const CHUNKS_MAX: usize = 64;
/// The event that tells a watcher to list anew.
const GONE: &[u8] = br#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"chaos: too old resource version","reason":"Expired","code":410}}
"#;

type Chunk = std::io::Result<Frame<Bytes>>;

/// Opens a watch.
pub(super) async fn answer(state: &Arc<State>, sent: Sent) -> Result<Response<Body>, Cut> {
    // Before the question: who is healed in between hears of it.
    let healed = state.healed.subscribe();
    if state.owes_listing(sent.path()) {
        let gone = Full::new(Bytes::from_static(GONE)).map_err(|never| match never {});
        let mut response = Response::new(gone.boxed());
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        return Ok(response);
    }
    match state.draw(false) {
        Some(Fault::Answer(code)) => {
            state.did(Deed::Answered(code), &sent.line());
            return refusal(code);
        }
        Some(Fault::DropBefore) => {
            state.did(Deed::DroppedBefore, &sent.line());
            return Err(Cut);
        }
        // The others are for answers that have an end.
        _ => {}
    }
    let response = state.upstream.open(&sent).await.map_err(|_| Cut)?;
    let (head, body) = response.into_parts();
    if !head.status.is_success() {
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        return Ok(whole(Answer { head, body }));
    }
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    let pump = Pump {
        state: Arc::clone(state),
        path: sent.path().to_owned(),
        line: sent.line(),
        sender,
        unread: Vec::new(),
        drops_next: false,
    };
    tokio::spawn(pump.run(body, healed));
    let chunks = stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    Ok(Response::from_parts(
        head,
        StreamBody::new(Box::pin(chunks) as Chunks).boxed(),
    ))
}

type Chunks = std::pin::Pin<Box<dyn futures::Stream<Item = Chunk> + Send + Sync>>;

/// The watch is over.
struct Over;

/// What comes next.
enum Turn {
    Chunk(Frame<Bytes>),
    Fault,
    Line,
    Healed,
    Broken,
    Over,
}

struct Pump {
    state: Arc<State>,
    path: String,
    line: String,
    sender: mpsc::Sender<Chunk>,
    /// The beginning of a line whose end is still to come.
    unread: Vec<u8>,
    /// The next event is left out.
    drops_next: bool,
}

impl Pump {
    async fn run(mut self, mut body: Incoming, mut healed: watch::Receiver<u64>) {
        let mut era = self.state.era.subscribe();
        let mut line = self.state.line.subscribe();
        let (mut at, mut fault) = self.draw();
        loop {
            let silent = *line.borrow_and_update() != Line::Open;
            let turn = tokio::select! {
                biased;
                _ = era.changed() => Turn::Broken,
                () = self.sender.closed() => Turn::Over,
                changed = line.changed() => changed.map_or(Turn::Over, |()| Turn::Line),
                _ = healed.changed() => Turn::Healed,
                () = sleep_until(at), if self.state.hurts() => Turn::Fault,
                chunk = body.frame(), if !silent => match chunk {
                    Some(Ok(frame)) => Turn::Chunk(frame),
                    Some(Err(_)) => Turn::Broken,
                    None => Turn::Over,
                },
            };
            let result = match turn {
                Turn::Over => Err(Over),
                Turn::Broken => self.breaks().await,
                Turn::Line => {
                    let now = *line.borrow_and_update();
                    self.line_is(now).await
                }
                Turn::Healed => self.pays().await,
                Turn::Fault => {
                    let result = self.suffer(fault).await;
                    (at, fault) = self.draw();
                    result
                }
                Turn::Chunk(frame) => self.pass(frame).await,
            };
            if result.is_err() {
                return;
            }
        }
    }

    fn draw(&self) -> (Instant, WatchFault) {
        let (peace, fault) = self.state.draw_watch();
        (Instant::now() + peace, fault)
    }

    async fn line_is(&mut self, line: Line) -> Result<(), Over> {
        match line {
            Line::Open => Ok(()),
            Line::Silent => {
                self.state.did(Deed::CutOff, &self.line);
                Ok(())
            }
            Line::Cut => {
                self.state.did(Deed::CutOff, &self.line);
                self.breaks().await
            }
        }
    }

    /// Faults have stopped: a watcher that was not told everything is told to list.
    async fn pays(&mut self) -> Result<(), Over> {
        if self.state.owes_listing(&self.path) {
            self.send(GONE.into()).await?;
            return Err(Over);
        }
        self.drops_next = false;
        Ok(())
    }

    async fn suffer(&mut self, fault: WatchFault) -> Result<(), Over> {
        let did = |deed| self.state.did(deed, &self.line);
        match fault {
            WatchFault::End => {
                did(Deed::WatchEnded);
                Err(Over)
            }
            WatchFault::Break => {
                did(Deed::WatchBroken);
                // Whatever has come of the next event, else its first bytes.
                let part = if self.unread.is_empty() {
                    b"{\"type\":\"MOD".to_vec()
                } else {
                    std::mem::take(&mut self.unread)
                };
                self.send(part).await?;
                self.breaks().await
            }
            WatchFault::Pause(time) => {
                did(Deed::WatchPaused);
                self.pause(time).await
            }
            WatchFault::DropEvent => {
                self.drops_next = true;
                Ok(())
            }
            WatchFault::Gone => {
                did(Deed::WatchGone);
                self.send(GONE.into()).await?;
                Err(Over)
            }
        }
    }

    async fn pause(&self, time: Duration) -> Result<(), Over> {
        let mut era = self.state.era.subscribe();
        let mut healed = self.state.healed.subscribe();
        tokio::select! {
            biased;
            _ = era.changed() => self.breaks().await,
            () = self.sender.closed() => Err(Over),
            // Seen again by the loop.
            _ = healed.changed() => self.owes().await,
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    async fn owes(&self) -> Result<(), Over> {
        if self.state.owes_listing(&self.path) {
            self.send(GONE.into()).await?;
            return Err(Over);
        }
        Ok(())
    }

    /// Passes on whole lines, but for an event that is left out.
    async fn pass(&mut self, frame: Frame<Bytes>) -> Result<(), Over> {
        let Ok(data) = frame.into_data() else {
            return Ok(());
        };
        self.unread.extend_from_slice(&data);
        let Some(end) = self.unread.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(());
        };
        let rest = self.unread.split_off(end.saturating_add(1));
        let mut lines = std::mem::replace(&mut self.unread, rest);
        if self.drops_next && self.state.hurts() {
            lines = self.without_one(lines);
        }
        if lines.is_empty() {
            Ok(())
        } else {
            self.send(lines).await
        }
    }

    fn without_one(&mut self, lines: Vec<u8>) -> Vec<u8> {
        let mut kept = Vec::with_capacity(lines.len());
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            if self.drops_next && is_about_an_object(line) {
                self.drops_next = false;
                self.state.deceived(&self.path);
                let about =
                    String::from_utf8_lossy(line.get(..line.len().min(60)).unwrap_or_default())
                        .into_owned();
                self.state.did(
                    Deed::WatchEventDropped,
                    &format!("{} {} {}", self.line, name(line), about.trim_end()),
                );
            } else {
                kept.extend_from_slice(line);
            }
        }
        kept
    }

    async fn send(&self, bytes: Vec<u8>) -> Result<(), Over> {
        let chunk = Ok(Frame::data(Bytes::from(bytes)));
        self.sender.send(chunk).await.map_err(|_| Over)
    }

    async fn breaks(&self) -> Result<(), Over> {
        let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let _ = self.sender.send(Err(error)).await;
        Err(Over)
    }
}

fn is_about_an_object(line: &[u8]) -> bool {
    let begins = |kind: &str| line.starts_with(format!("{{\"type\":\"{kind}\"").as_bytes());
    ["ADDED", "MODIFIED", "DELETED"].into_iter().any(begins)
}

/// Name and version of the object, for the log.
fn name(line: &[u8]) -> String {
    let event: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
    let text = |pointer: &str| {
        let value = event.pointer(pointer).and_then(serde_json::Value::as_str);
        value.unwrap_or("?").to_owned()
    };
    format!(
        "{}@{}",
        text("/object/metadata/name"),
        text("/object/metadata/resourceVersion")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bookmarks_and_errors_are_never_left_out() {
        assert!(is_about_an_object(br#"{"type":"ADDED","object":{}}"#));
        assert!(!is_about_an_object(br#"{"type":"BOOKMARK","object":{}}"#));
        assert!(!is_about_an_object(GONE));
        let event = br#"{"type":"ADDED","object":{"metadata":{"name":"p","resourceVersion":"7"}}}"#;
        assert_eq!(name(event), "p@7");
    }
}
