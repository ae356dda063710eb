//! Calls to somebody else's API, no faster than it allows, over all processes together.
//!
//! ```sh
//! kubectl apply -f - <<END
//! apiVersion: sluice.dev/v1alpha1
//! kind: ConcurrencyLimit
//! metadata: {name: api}
//! spec: {slots: 5, decay: {slots: 2, perSeconds: 1}}      # a burst of five, then two a second
//! END
//! cargo run --example rate_limit                           # or: -- LIMIT CALLS
//! ```

use std::time::{Duration, Instant};

use sluice::client::{Client, TryAcquireError};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let limit = arguments.next().unwrap_or_else(|| "api".to_owned());
    let calls: u32 = arguments.next().map_or(Ok(10), |text| text.parse())?;

    let client = Client::try_default().await?;
    let _drain = client.drain_guard(Duration::from_secs(10));
    let begun = Instant::now();
    for call in 1..=calls {
        // Waits in the queue. Nothing is held and nothing is given back: what was taken comes back with time.
        client
            .rate_limit(&*limit)
            .timeout(Duration::from_secs(60))
            .acquire()
            .await?;
        println!("{:5.1} s: call {call}", begun.elapsed().as_secs_f64());
    }
    // Three at once, if they are there at this moment.
    match client.rate_limit(&*limit).occupy(3).try_acquire().await {
        Ok(()) => println!("three more at once"),
        Err(TryAcquireError::Full { detail, .. }) => println!("not three more at once: {detail}"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
