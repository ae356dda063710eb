//! Claims that are decided while the caller asks: granted at once, or left to be followed like any other.

use std::sync::Arc;

use super::requests::row;
use super::row::{Row, grant};
use super::store::{Embedded, tell};
use crate::client::Token;
use crate::client::direct::{AtOnce, Direct, DirectId, Holder};
use crate::client::store::{ClaimVersion, NewClaim, StoreError};
use crate::ledger::ClaimPhase;

impl Direct for Embedded {
    fn claim(&self, claim: NewClaim, holder: Arc<dyn Holder>) -> Result<AtOnce, StoreError> {
        self.shared.with_after(
            |world| {
                let mut row = row(world, claim)?;
                row.holder = Some(holder);
                let uid = row.view.uid.clone();
                world.insert(row);
                Ok(uid)
            },
            |world, uid| {
                let uid = uid?;
                let row = world.row(&uid);
                if row.map(Row::phase) == Some(ClaimPhase::Granted) {
                    return Ok(AtOnce::Granted(DirectId(uid)));
                }
                let spec = row.map(|row| row.spec.clone()).unwrap_or_default();
                Ok(AtOnce::Waits(DirectId(uid), spec))
            },
        )
    }

    fn tokens(&self, id: &DirectId) -> Vec<Token> {
        self.shared.with(|world| {
            let row = world.row(&id.0);
            let leases = row.map_or(&[][..], Row::leases);
            leases
                .iter()
                .map(|lease| Token::from(&grant(lease)))
                .collect()
        })
    }

    fn give_back(&self, id: &DirectId) {
        let mut inner = self.shared.enter();
        inner.world.give_back(&id.0);
        inner.world.settle_soon();
        tell(self.shared.leave(inner));
    }

    fn let_go(&self, id: &DirectId) -> Option<ClaimVersion> {
        self.shared.with(|world| {
            world.let_go(&id.0);
            let row = world.row(&id.0)?;
            let (read, over) = (row.read(), refused(row));
            if over {
                // Nobody else will ever ask for it.
                world.discard(&id.0);
            }
            Some(read)
        })
    }
}

/// It came to nothing, and holds nothing.
pub(super) fn refused(row: &Row) -> bool {
    matches!(row.phase(), ClaimPhase::Denied | ClaimPhase::TimedOut)
}
