//! Serves fixed states for a look at them; not committed.
use super::pages::{busy, failing};
use super::site::*;
use crate::domain::failure::*;
use crate::domain::ids::*;
use crate::domain::phase::Phase;
use crate::domain::units::*;
use crate::engine::ParametersState;
use crate::scheduler::command::*;
use crate::scheduler::view::*;
use std::sync::Arc;
use tokio::sync::watch;

fn carry_out(command: &Command) -> Result<Done, Refusal> {
    Ok(match command {
        Command::Retry { sector, phase } => {
            Done::Retried(vec![Retried { sector: *sector, phase: phase.unwrap_or(Phase::P1) }])
        }
        Command::Redo { .. } => {
            return Err(Refusal::Conflict {
                what: "sector 3: redo cannot happen (its pre-commit is under way or on chain)"
                    .into(),
                mend: "abort it, or let it go on".into(),
            });
        }
        _ => Done::IntakePaused,
    })
}

#[test]
#[ignore]
fn serve() {
    let mut empty = Site::empty();
    empty.size = SectorSize::KiB2;
    empty.parameters = ParametersState::Making {
        step: "making the Groth parameters of 2 KiB (2 of 3)".into(),
        since: Timestamp(crate::web::show::now().0 - 200_000),
    };
    let mut busy_site = busy();
    busy_site.reply = carry_out;
    let mut bad = busy();
    bad.limit = Some(7);
    bad.reply = carry_out;
    bad.running(9, Phase::P2).later(372).fails(9, Phase::P2, disk_full());
    bad.running(10, Phase::P4).start(10, Phase::P5).fails(
        10,
        Phase::P5,
        Failure::new(
            Class::Transient,
            "copying failed: Stale file handle",
            "sealbox tries again by itself; if it stays, look at the mount (`dmesg`)",
        )
        .at("/mnt/store-1/cache/s-t01000-10.part"),
    );
    bad.tweak = |view| {
        view.throttles[0].held_by = vec![SectorNumber(9)];
        view.report = vec!["Rescued 2 attempts that the last stop interrupted.".into(), "The state was rebuilt from the journal: the machine had restarted without a clean stop.".into()];
        view.simulated = true;
    };
    let mut full = disk("/sealer", DiskRole::Scratch, 98);
    full.device = "/dev/md1".into();
    let mut hung = disk("/mnt/store-2", DiskRole::Storage, 10);
    hung.device = "10.10.19.4:/store-2".into();
    hung.file_system = "nfs4".into();
    hung.trouble = Some(Failure::new(
        Class::Operator,
        "no answer for 30 s",
        "look at the mount (`dmesg`, `showmount`)",
    ));
    bad.disks = vec![full, disk("/mnt/store-1", DiskRole::Storage, 38), hung];
    let fail = failing();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        for (site, port) in [(&empty, 3901u16), (&busy_site, 3902), (&bad, 3903), (&fail, 3904)] {
            let (mut state, scheduler) = site.state();
            tokio::spawn(scheduler);
            let (views, seen) = watch::channel(Arc::new(site.view()));
            let (changes, changed) = watch::channel(0);
            let (asks, mut heard) = tokio::sync::mpsc::channel::<Ask>(4);
            let reply = site.reply;
            tokio::spawn(async move {
                while let Some(a) = heard.recv().await {
                    let _ = a.reply.send(reply(&a.command));
                }
            });
            state.handle = crate::scheduler::Handle::new(asks, seen);
            state.changes = changed;
            tokio::spawn(async move {
                let mut n = 0;
                loop {
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                    if std::fs::remove_file(format!("/tmp/poke.{port}")).is_ok() {
                        n += 1;
                        changes.send_replace(n);
                        views.send_modify(|v| {
                            let mut w = (**v).clone();
                            w.intake_paused = !w.intake_paused;
                            *v = Arc::new(w);
                        });
                    }
                }
            });
            state.listen = ([127, 0, 0, 1], port).into();
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
            let r = crate::web::router(state);
            tokio::spawn(
                async move { crate::web::serve(listener, r, std::future::pending()).await },
            );
        }
        println!("serving");
        while !std::path::Path::new("/tmp/stop-look").exists() {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    });
}
