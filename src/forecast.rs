//! When each disk of this box will be full: what `domain/forecast` is told, by pages, metrics and alerts
//! alike.

use std::time::Duration;

use crate::config::{Config, RootConfig};
use crate::doctor;
use crate::domain::forecast::{Forecast, Pace, Root, Takes, forecasts, growth};
use crate::domain::needs::Needs;
use crate::domain::porep::SealKind;
use crate::domain::units::Timestamp;
use crate::samples::Samples;
use crate::scheduler::view::{BoxView, DiskRole, DiskView, ThrottleView};

/// How far back the growth of the data disk is told from.
const GREW_IN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The forecast of each of these disks.
pub fn of(
    view: &BoxView,
    disks: &[DiskView],
    config: &Config,
    samples: &Samples,
    now: Timestamp,
) -> Vec<Forecast> {
    // What a simulated sector stores is no basis for anything.
    let pace = Pace::of(&view.throughput, now).filter(|_| !view.simulated);
    let begin = to_begin(view, config, &doctor::needs(config));
    let seen = disks.iter().filter(|disk| is_seen(disk));
    let roots: Vec<Root> = seen.map(|disk| root(disk, view, config, samples, now)).collect();
    let mut of_seen = forecasts(&roots, pace, begin).into_iter();
    let mut forecast = |disk: &DiskView| is_seen(disk).then(|| of_seen.next()).flatten();
    disks.iter().map(|disk| forecast(disk).unwrap_or(Forecast::Unknown)).collect()
}

fn is_seen(disk: &DiskView) -> bool {
    disk.trouble.is_none() && disk.total_bytes > 0
}

fn root(
    disk: &DiskView,
    view: &BoxView,
    config: &Config,
    samples: &Samples,
    now: Timestamp,
) -> Root {
    let configured = configured(config, disk);
    let takes = match disk.role {
        DiskRole::Scratch => {
            Takes::Sectors { reserved: view.reserved.get(&disk.path).map_or(0, |bytes| bytes.0) }
        }
        DiskRole::Storage => Takes::Copies { weight: configured.map_or(1, |root| root.weight) },
        DiskRole::Data => {
            let from = Timestamp(now.0.saturating_sub(GREW_IN.as_secs() * 1_000));
            Takes::Own { growth: growth(&samples.used_since(&disk.path, from)) }
        }
    };
    Root {
        file_system: disk.number,
        used: disk.used_bytes,
        room: disk.free_bytes.saturating_sub(keep_free(config, disk)),
        takes,
    }
}

/// What the configuration says of a disk; nothing of the data disk.
pub fn configured<'a>(config: &'a Config, disk: &DiskView) -> Option<&'a RootConfig> {
    let roots = match disk.role {
        DiskRole::Scratch => &config.scratch,
        DiskRole::Storage => &config.storage,
        DiskRole::Data => return None,
    };
    roots.iter().find(|root| root.path == disk.path)
}

/// What of it stays free, whatever waits.
pub fn keep_free(config: &Config, disk: &DiskView) -> u64 {
    let Some(root) = configured(config, disk) else { return 0 };
    match disk.role {
        DiskRole::Scratch => config.scratch_keeps_free(root).0,
        DiskRole::Storage | DiskRole::Data => root.keep_free.unwrap_or_default().0,
    }
}

/// What sectors that are not begun yet may take of the scratch beside those in flight, at the most.
/// None: nothing bounds how many there may be.
fn to_begin(view: &BoxView, config: &Config, needs: &Needs) -> Option<u64> {
    let outstanding: u64 = view.throttles.iter().map(|throttle| throttle.outstanding).sum();
    let in_all =
        config.max_outstanding_in_all.map(|all| u64::from(all).saturating_sub(outstanding));
    let of_size = |throttle: &ThrottleView| {
        let places = throttle.limit.map(|limit| limit.saturating_sub(throttle.outstanding));
        let by_itself = view.until_full.as_ref().is_some_and(|until| until.size == throttle.size);
        let orders = (!by_itself).then_some(throttle.waiting);
        let each = needs.scratch(SealKind::new(throttle.size, view.porep)).0;
        Some((each, places.or(orders).or(in_all)?))
    };
    let mut sizes = view.throttles.iter().map(of_size).collect::<Option<Vec<_>>>()?;
    // Whichever are begun: the largest take the most.
    sizes.sort_unstable_by(|one, other| other.cmp(one));
    let mut left = in_all.unwrap_or(u64::MAX);
    Some(sizes.into_iter().fold(0_u64, |bytes, (each, places)| {
        let begun = places.min(left);
        left -= begun;
        bytes.saturating_add(each.saturating_mul(begun))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::units::SectorSize;
    use crate::scheduler::view::UntilFullView;
    use crate::web::tests::site::{Site, built_in, disk};

    fn throttle(size: SectorSize, limit: Option<u64>, outstanding: u64) -> ThrottleView {
        let (waiting, held, held_by) = (5, 0, Vec::new());
        ThrottleView { size, limit, outstanding, waiting, held, held_by }
    }

    /// What may be begun, by places of the throttles and sectors that are ordered.
    fn begun(throttles: Vec<ThrottleView>, in_all: Option<u32>, until_full: bool) -> Option<u64> {
        let mut view = Site::empty().view();
        view.throttles = throttles;
        let full = None;
        view.until_full = until_full.then_some(UntilFullView { size: SectorSize::GiB32, full });
        let config = Config { max_outstanding_in_all: in_all, ..built_in() };
        to_begin(&view, &config, &Needs::real())
    }

    #[test]
    fn what_may_be_begun_is_bounded_by_the_throttle_and_else_by_the_orders() {
        use SectorSize::{GiB32, GiB64};
        let each = |size| Needs::real().scratch(SealKind::new(size, Site::empty().view().porep)).0;
        assert_eq!(begun(vec![throttle(GiB32, Some(3), 1)], None, false), Some(2 * each(GiB32)));
        assert_eq!(begun(vec![throttle(GiB32, Some(1), 3)], None, true), Some(0));
        assert_eq!(begun(vec![throttle(GiB32, None, 3)], None, false), Some(5 * each(GiB32)));
        assert_eq!(begun(vec![throttle(GiB32, None, 3)], None, true), None);
        assert_eq!(begun(vec![throttle(GiB32, None, 3)], Some(7), true), Some(4 * each(GiB32)));
        let both = || vec![throttle(GiB32, Some(9), 1), throttle(GiB64, Some(3), 1)];
        let most = 2 * each(GiB64) + each(GiB32);
        assert_eq!(begun(both(), Some(5), false), Some(most), "three in all, the largest first");
    }

    #[test]
    fn a_disk_that_cannot_be_used_has_no_forecast_and_the_others_keep_theirs() {
        let site = Site::empty();
        let mut disks = vec![disk("/a", DiskRole::Scratch, 10), disk("/b", DiskRole::Scratch, 10)];
        disks[0].total_bytes = 0;
        let found = of(&site.view(), &disks, &built_in(), &site.samples, Timestamp(0));
        assert_eq!(found[0], Forecast::Unknown);
        assert!(found[1].most().is_some(), "{found:?}");
    }
}
