//! The release is uninstalled while pods hold and wait, and installed again while they run.

use crate::chart::site::Site;

#[tokio::test]
async fn who_was_let_go_by_an_uninstall_is_counted_after_the_next_install() {
    let mut site = Site::cluster_wide(1, &[]).await;
    site.world.limit("gpu", 1).await;
    let ask = async |site: &Site, name: &str| {
        site.world.pod(name).ungated().slots("gpu").create().await;
    };
    ask(&site, "first").await;
    site.world.granted("first").await;
    ask(&site, "second").await;
    site.world.waiting("gpu", 1).await;

    // `cleanup.ungateOnUninstall`: nobody is left behind a gate, and the limit is kept with its leases.
    let opened_from = site.world.history().await.revision();
    site.uninstall(true).await;
    site.world.running("second").await;

    site.install_again(&[]).await;
    site.world.holders("gpu", ["first", "second"]).await;
    site.world
        .limit_is("gpu", "over-committed", |it| {
            it.holds("OverCommitted") == Some("HoldersKept")
        })
        .await;
    ask(&site, "third").await;
    site.world.waiting("gpu", 1).await;
    site.world.end("first").await;
    site.world.holders("gpu", ["second"]).await;
    site.world.is_gated("third").await;
    site.world.end("second").await;
    site.world.granted("third").await;
    site.prove(opened_from).await;
}
