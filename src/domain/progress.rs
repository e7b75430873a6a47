//! How far a running attempt has come: told while it runs, shown, and kept nowhere.

use serde::{Deserialize, Serialize};

use super::porep::{Porep, SealKind};

/// What an attempt tells of itself between its start and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Before P1: layers of an earlier attempt are compared with what was recorded of them.
    Checking { done_bytes: u64, total_bytes: u64 },
    /// P1: how many layers are complete, those of earlier attempts included.
    Layers { done: u32, of: u32 },
    /// P2: of each kind of tree, how many of its files are complete. The replica is encoded between
    /// the two.
    Trees { tree_c: u32, tree_r_last: u32, of: u32 },
    /// P4.
    Snarks(Snarks),
    /// P5: every byte counts twice, once written and once read back.
    Copying { done_bytes: u64, total_bytes: u64 },
}

/// Who is told. From whichever thread knows.
pub type Tell<'a> = &'a (dyn Fn(Progress) + Sync);

/// How far P4 is: each partition of the sector takes a SNARK, and they are made some at a time, all
/// of those in step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snarks {
    /// Partitions of the sector.
    pub of: u32,
    /// Those whose SNARK is made.
    pub made: u32,
    pub step: SnarkStep,
    /// Whether the SNARKs become one in the end.
    aggregated: bool,
}

/// What is being done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnarkStep {
    /// The parameters are being read.
    Parameters,
    /// The circuits of the next partitions are being filled in.
    Circuits,
    /// They are; their SNARKs are begun.
    Begun,
    /// Their polynomials are transformed (FFT); what is left are the sums over the curve.
    Transformed,
    /// All SNARKs are made, and become one.
    Aggregating,
    /// All is made; it is being checked.
    Checking,
    /// It proves what it should.
    Checked,
}

/// What whoever makes SNARKs tells, in this order; the first four again for each partitions that are
/// made together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnarkEvent {
    Starts,
    CircuitsFilled,
    Transformed,
    Made,
    Aggregated,
    Checked,
}

impl Snarks {
    /// The most partitions that the library takes at a time (`MAX_GROTH16_BATCH_SIZE` of
    /// storage-proofs-core's `compound_proof`).
    const AT_A_TIME: u32 = 10;

    /// At its beginning.
    pub fn of(kind: SealKind) -> Self {
        let aggregated = match kind.porep {
            Porep::Interactive | Porep::Synthetic => false,
            Porep::NonInteractive => true,
        };
        Self { of: kind.partitions(), made: 0, step: SnarkStep::Parameters, aggregated }
    }

    /// The last of the partitions that are worked on now.
    pub fn up_to(&self) -> u32 {
        self.of.min(self.made + Self::AT_A_TIME)
    }

    /// How far it is after this. What is told out of its turn (a library may change what it says)
    /// counts no SNARK twice and none too many.
    #[must_use]
    pub fn after(self, event: SnarkEvent) -> Self {
        let step = match event {
            SnarkEvent::Starts => SnarkStep::Circuits,
            SnarkEvent::CircuitsFilled => SnarkStep::Begun,
            SnarkEvent::Transformed => SnarkStep::Transformed,
            SnarkEvent::Made => return self.after_some_made(),
            SnarkEvent::Aggregated => SnarkStep::Checking,
            SnarkEvent::Checked => SnarkStep::Checked,
        };
        Self { step, ..self }
    }

    /// What is told from the beginning to the end if nothing goes wrong.
    pub fn events(self) -> Vec<SnarkEvent> {
        use SnarkEvent::{Aggregated, Checked, CircuitsFilled, Made, Starts, Transformed};
        let rounds = self.of.div_ceil(Self::AT_A_TIME);
        let round = [Starts, CircuitsFilled, Transformed, Made];
        let made = std::iter::repeat_n(round, rounds as usize).flatten();
        made.chain(self.aggregated.then_some(Aggregated)).chain([Checked]).collect()
    }

    fn after_some_made(self) -> Self {
        let made = match self.step {
            SnarkStep::Begun | SnarkStep::Transformed => self.up_to(),
            SnarkStep::Parameters
            | SnarkStep::Circuits
            | SnarkStep::Aggregating
            | SnarkStep::Checking
            | SnarkStep::Checked => self.made,
        };
        let step = match (made < self.of, self.aggregated) {
            (true, _) => SnarkStep::Circuits,
            (false, true) => SnarkStep::Aggregating,
            (false, false) => SnarkStep::Checking,
        };
        Self { made, step, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::units::SectorSize;

    const ROUND: [SnarkEvent; 4] =
        [SnarkEvent::Starts, SnarkEvent::CircuitsFilled, SnarkEvent::Transformed, SnarkEvent::Made];

    fn snarks(size: SectorSize, porep: Porep) -> Snarks {
        Snarks::of(SealKind::new(size, porep))
    }

    #[test]
    fn ten_partitions_are_made_together_and_checked() {
        let begun = snarks(SectorSize::GiB32, Porep::Interactive);
        let mut now = begun;
        let steps = ROUND.map(|event| {
            now = now.after(event);
            (now.step, now.made, now.up_to())
        });
        assert_eq!(
            steps,
            [
                (SnarkStep::Circuits, 0, 10),
                (SnarkStep::Begun, 0, 10),
                (SnarkStep::Transformed, 0, 10),
                (SnarkStep::Checking, 10, 10),
            ]
        );
        assert_eq!(now.after(SnarkEvent::Checked).step, SnarkStep::Checked);
    }

    #[test]
    fn many_partitions_are_made_ten_at_a_time_and_become_one() {
        for (size, partitions, rounds) in [(SectorSize::KiB2, 13, 2), (SectorSize::GiB32, 126, 13)]
        {
            let mut now = snarks(size, Porep::NonInteractive);
            assert_eq!(now.of, partitions);
            for round in 1..=rounds {
                now = ROUND.into_iter().fold(now, Snarks::after);
                assert_eq!(now.made, partitions.min(10 * round));
                let done = round == rounds;
                let step = if done { SnarkStep::Aggregating } else { SnarkStep::Circuits };
                assert_eq!(now.step, step);
            }
            assert_eq!(now.after(SnarkEvent::Aggregated).step, SnarkStep::Checking);
        }
    }

    #[test]
    fn a_beginning_knows_all_that_will_be_told() {
        for kind in SealKind::all() {
            let begun = Snarks::of(kind);
            let end = begun.events().into_iter().fold(begun, Snarks::after);
            assert_eq!((end.made, end.step), (kind.partitions(), SnarkStep::Checked), "{kind:?}");
        }
    }

    #[test]
    fn what_is_told_twice_or_out_of_turn_makes_no_snark() {
        let begun = snarks(SectorSize::GiB32, Porep::NonInteractive);
        assert_eq!(begun.after(SnarkEvent::Made).made, 0);
        let made = ROUND.into_iter().fold(begun, Snarks::after);
        assert_eq!(made.after(SnarkEvent::Made).made, 10);
        let all = std::iter::repeat_n(ROUND, 20).flatten().fold(begun, Snarks::after);
        assert_eq!((all.made, all.up_to()), (126, 126));
    }
}
