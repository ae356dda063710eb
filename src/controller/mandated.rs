//! The transport of a controller that stands for election: no write leaves it without a mandate, and none
//! may take longer than the mandate lasts.
//!
//! Reads pass, and so do requests about the Lease itself, which is what mandates are made of. A write that
//! was cut off has an unknown outcome, as any other without an answer. Decides nothing about slots.

use std::future::Future;

use super::around::{Around, Say, Write};
use super::kube_transport::Shared;
use super::transport::Failure;
use crate::election::MandateSeen;

/// Lets writes pass while this process leads.
pub(super) struct Mandated(MandateSeen);

/// Puts the mandate around a transport.
pub(super) fn around(transport: Shared, mandate: MandateSeen) -> Around<Mandated> {
    let say = Mandated(mandate);
    Around { transport, say }
}

impl Say for Mandated {
    async fn pass<T: Send>(
        &self,
        _what: Write,
        request: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        let Some(left) = self.0.left() else {
            return Err(Failure::Refused(
                "not sent: this process does not lead".to_owned(),
            ));
        };
        match tokio::time::timeout(left, request).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Unknown(
                "none before this process's mandate ended".to_owned(),
            )),
        }
    }
}
