//! The same as `async.rs` for a program without a runtime of its own.
//!
//! ```sh
//! kubectl apply -f examples/limits.yaml        # the limit gpu, the lock deploy
//! cargo run --example blocking                 # or: -- LIMIT LOCK
//! ```

use std::time::Duration;

use sluice::blocking::Client;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let limit = arguments.next().unwrap_or_else(|| "gpu".to_owned());
    let lock = arguments.next().unwrap_or_else(|| "deploy".to_owned());

    let client = Client::try_default()?;
    let _drain = client.drain_guard(Duration::from_secs(10));

    let slots = client
        .request()
        .slots(&limit, 2)
        .lock(&lock)
        .timeout(Duration::from_secs(60))
        .acquire()?;
    println!("holds {:?}", slots.tokens());
    for step in 1..=3 {
        // Before each step that must not be done without the slots.
        slots.check()?;
        println!("step {step}, fenced by {:?}", slots.token(&lock));
        std::thread::sleep(Duration::from_millis(100));
    }
    slots.release()?;
    println!("released");
    Ok(())
}
