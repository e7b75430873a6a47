//! What a seed makes of the box and its world.

use super::*;

impl Run {
    /// The seed decides the box and the temper of its world, too: some runs are all kills, some
    /// all refusals, some nearly calm.
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let random_ref = &mut random;
        let mut often = |percent: &[u64]| random_ref.pick(percent);
        let rates = Rates {
            commands: often(&[2, 6, 15]),
            kills: often(&[0, 1, 2, 6]),
            stops: often(&[0, 0, 1]),
            weather: often(&[0, 3, 8]),
            kills_while_acting: often(&[0, 1, 10]),
        };
        let weather = Weather {
            attempts_fail_percent: often(&[0, 5, 20, 60]),
            only_transient: often(&[0, 0, 1]) == 1,
            longest_attempt_steps: often(&[0, 0, 2, 8]),
            repeats_percent: often(&[0, 10]),
            chain: Temper {
                refuses_percent: often(&[0, 10, 30]),
                trouble_percent: often(&[0, 10, 50]),
            },
            parameters_made: often(&[0, 1, 1, 1]) == 1,
            ..Weather::default()
        };
        let scratch: [&[u64]; 6] = [&[], &[1], &[2], &[4], &[1, 3], &[2, 1, 1]];
        let scratch = random.pick(&scratch).iter().enumerate();
        let scratch = scratch.map(|(n, holds)| (Scratch::new(format!("/scratch-{n}")), *holds));
        let scratch = scratch.collect();
        // Storage is small only where it has to fill up.
        let until_full = random.percent(25);
        let auto_pledge = match until_full {
            true => AutoPledge::UntilFull,
            false => AutoPledge::Sectors(random.between(1, 4)),
        };
        let storage_sectors = match until_full {
            true => (0..random.between(1, 2)).map(|_| random.between(1, 3)).collect(),
            false => Vec::new(),
        };
        let memory = ByteSize(random.pick(&[130, 200, 512]) << 30);
        let machine = Machine { memory, cores: random.pick(&[1, 2, 16]) as u32, gpus: 0 };
        let settings = Settings {
            miner: ActorId(1000),
            sector_size: random.pick(&[SectorSize::GiB32, SectorSize::KiB2]),
            porep: Porep::Interactive,
            simulated: true,
            limits: Limits {
                max_outstanding: [(SectorSize::GiB32, 1), (SectorSize::KiB2, random.between(1, 3))]
                    .into(),
                max_outstanding_in_all: random.pick(&[None, None, Some(3)]),
                auto_pledge,
                needs: Arc::new(needs()),
            },
            machine: random.pick(&[None, Some(machine)]),
            isolation: random.pick(&Isolation::ALL),
        };
        let mut this = Self {
            random,
            world: World::new(weather, scratch, storage_sectors),
            journal: Journal::default(),
            history: History::default(),
            process: None,
            settings,
            rates,
            still_to_order: ORDERED,
            acknowledged: Vec::new(),
            trace: Vec::new(),
        };
        this.history = this.new_history();
        this
    }
}
