//! A request with one answer, and what may happen to it.

use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use serde_json::json;

use super::fault::Fault;
use super::state::State;
use super::upstream::{Answer, Sent};
use super::{Body, Cut};
use crate::tally::Deed;

/// What 429 asks for, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// Gives the answer, or cuts the connection.
pub(super) async fn answer(state: &Arc<State>, sent: Sent) -> Result<Response<Body>, Cut> {
    let line = sent.line();
    let did = |deed| state.did(deed, &line);
    let Some(fault) = state.draw(sent.is_write()) else {
        return state.upstream.send(&sent).await.map(whole).map_err(|_| Cut);
    };
    match fault {
        Fault::DelayBefore(time) => {
            did(Deed::Delayed);
            tokio::time::sleep(time).await;
            state.upstream.send(&sent).await.map(whole).map_err(|_| Cut)
        }
        Fault::DelayAfter(time) => {
            did(Deed::Delayed);
            let answer = state.upstream.send(&sent).await.map_err(|_| Cut)?;
            tokio::time::sleep(time).await;
            Ok(whole(answer))
        }
        Fault::DropBefore => {
            did(Deed::DroppedBefore);
            Err(Cut)
        }
        Fault::DropAfter => {
            state.upstream.send(&sent).await.map_err(|_| Cut)?;
            did(Deed::DroppedAfter);
            Err(Cut)
        }
        Fault::Late(time) => {
            later(state, sent, time, Deed::CarriedOutLate);
            Err(Cut)
        }
        Fault::Duplicate { second } => {
            let first = state.upstream.send(&sent).await.map_err(|_| Cut)?;
            let other = state.upstream.send(&sent).await.map_err(|_| Cut)?;
            did(Deed::Duplicated);
            Ok(whole(if second { other } else { first }))
        }
        Fault::DuplicateLate(time) => {
            let answer = state.upstream.send(&sent).await.map_err(|_| Cut)?;
            later(state, sent, time, Deed::DuplicatedLate);
            Ok(whole(answer))
        }
        Fault::Answer(code) => {
            did(Deed::Answered(code));
            refusal(code)
        }
        Fault::Truncate => {
            let answer = state.upstream.send(&sent).await.map_err(|_| Cut)?;
            did(Deed::Truncated);
            truncated(answer)
        }
    }
}

/// Sends a request some time from now, whatever became of its client; never in another era.
fn later(state: &Arc<State>, sent: Sent, time: Duration, deed: Deed) {
    let state = Arc::clone(state);
    let mut era = state.era.subscribe();
    tokio::spawn(async move {
        let send = async {
            tokio::time::sleep(time).await;
            if state.upstream.send(&sent).await.is_ok() {
                state.did(deed, &sent.line());
            }
        };
        tokio::select! {
            biased;
            _ = era.changed() => {}
            () = send => {}
        }
    });
}

pub(super) fn whole(answer: Answer) -> Response<Body> {
    let body = Full::new(answer.body)
        .map_err(|never| match never {})
        .boxed();
    Response::from_parts(answer.head, body)
}

/// An answer that says how long it is, and ends in the middle.
fn truncated(answer: Answer) -> Result<Response<Body>, Cut> {
    let length = answer.body.len();
    let half = answer.body.slice(..length / 2);
    let parts = [
        Ok(Frame::data(half)),
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
    ];
    let mut response =
        Response::from_parts(answer.head, StreamBody::new(stream::iter(parts)).boxed());
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    Ok(response)
}

/// An answer that the server never gave.
pub(super) fn refusal(code: u16) -> Result<Response<Body>, Cut> {
    let reason = match code {
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "chaos: the server never saw this request", "reason": reason, "code": code,
    });
    let body = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {});
    let mut response = Response::new(body.boxed());
    *response.status_mut() = StatusCode::from_u16(code).map_err(|_| Cut)?;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if code == 429 {
        headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    Ok(response)
}
