//! Two minutes of chaos. Prints its seed; `SLUICE_SEED` draws the same faults again.

use std::path::Path;

use sluice_chaos::{Deed, Settings, play};

/// How long faults last, in seconds.
const SECONDS: f64 = 120.0;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_granted_twice_and_nobody_is_forgotten() {
    let seed = std::env::var("SLUICE_SEED").map_or_else(
        |_| fastrand::u64(..1_000_000_000),
        |text| text.parse().unwrap(),
    );
    eprintln!("SLUICE_SEED={seed}");
    let program = Path::new(env!("CARGO_BIN_EXE_sluice-chaos"));
    let report = play(&Settings::new(program, seed, SECONDS)).await.unwrap();
    eprintln!("{report:#?}");
    assert!(
        report.findings.is_empty(),
        "SLUICE_SEED={seed}\n{}",
        report.findings.join("\n\n")
    );
    // It must have been chaos, and work must have been done in it.
    for deed in [
        Deed::Kill,
        Deed::Stop,
        Deed::Partition,
        Deed::ServerRestart,
        Deed::EtcdKill,
        Deed::Compaction,
        Deed::Restore,
        Deed::Delayed,
        Deed::DroppedBefore,
        Deed::DroppedAfter,
        Deed::CarriedOutLate,
        Deed::Duplicated,
        Deed::Truncated,
        Deed::WatchEventDropped,
        Deed::WatchGone,
    ] {
        assert!(
            report.counts.of(deed) > 0,
            "never {deed}: {}",
            report.counts
        );
    }
    assert!(report.grants > 50, "{} grants", report.grants);
    assert!(report.claims > 25, "{} claims", report.claims);
    assert!(report.takes > 25, "{} takes for a rate", report.takes);
    assert!(report.beliefs > 10, "{} beliefs", report.beliefs);
    assert_eq!(report.segments, 2, "one restore");
}
