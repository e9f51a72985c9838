//! What it costs to take so many units from the cores of one L3 domain.

use super::board::{FreeCore, Group};
use super::damage::worth;
use crate::model::Objective;
use crate::model::policy::Smt;

/// How vCPUs sit on cores: a unit is the vCPUs that stay together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    /// vCPUs of a unit: guest threads of one guest core.
    pub(super) threads: u32,
    /// Whether a core takes one unit only and is then closed to others.
    pub(super) alone: bool,
}

impl Unit {
    /// Returns the unit of guests with so many threads per core. Under `any`
    /// guest threads go wherever there is room, so each is a unit.
    pub(super) fn of(smt: Smt, threads: u32) -> Self {
        match smt {
            Smt::Siblings => Self { threads, alone: false },
            Smt::Isolate => Self { threads: 1, alone: true },
            Smt::Any => Self { threads: 1, alone: false },
        }
    }

    /// Returns how many units fit on what is free of a core.
    pub(super) fn fit(self, core: &FreeCore) -> u32 {
        if self.alone {
            return u32::from(core.whole);
        }
        let free = u32::try_from(core.free.len()).unwrap_or(u32::MAX);
        free / self.threads
    }
}

/// One point of a curve: the cost of taking a number of units.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    /// Levels 3 (one domain entered), 4, 6 (of the domain) and 7.
    pub(super) cost: Objective,
    /// Whole cores used.
    pub(super) whole: u32,
}

/// Returns the cost of taking 0, 1, 2, … units from a group, as far as it
/// goes and not beyond `most`.
///
/// Whole cores come first, lowest first: a core that another VM has a part
/// of costs level 4, which weighs more than what whole cores cost below it.
/// A domain that is a part of a wider L3 costs no level 3 here.
pub(super) fn curve(
    group: &Group,
    unit: Unit,
    most: u32,
    enters_l3: bool,
    weight: i64,
) -> Vec<Point> {
    let whole = whole_cores(group, unit);
    let broken = broken_cores(group, unit);
    let in_whole: u32 = whole.iter().map(|core| unit.fit(core)).sum();
    let in_broken: u32 = broken.iter().map(|core| unit.fit(core)).sum();
    let free = u32::try_from(free_whole(group)).unwrap_or(u32::MAX);
    let before = worth(free, group.capacity);
    let mut points = vec![Point { cost: Objective::default(), whole: 0 }];
    let (mut used, mut sum, mut room) = (0u32, 0i64, 0u32);
    for units in 1..=most.min(in_whole + in_broken) {
        if units > room && (used as usize) < whole.len() {
            let core = whole[used as usize];
            room += unit.fit(core);
            sum += i64::from(core.first.0);
            used += 1;
        }
        let over = units.saturating_sub(in_whole);
        let odd = Choice::of(&choose(&broken, unit, over));
        let used = used + odd.whole;
        let mut cost = Objective::default();
        cost.0[2] = i64::from(enters_l3);
        cost.0[3] = odd.shared;
        cost.0[5] = weight * (before - worth(free - used, group.capacity));
        cost.0[6] = sum + odd.sum;
        points.push(Point { cost, whole: used });
    }
    points
}

/// Returns the free cores that take as many units as any, lowest first.
/// Cores of one kind have the same number of CPUs unless some are offline:
/// those count as broken, so that all whole ones are alike.
pub(super) fn whole_cores(group: &Group, unit: Unit) -> Vec<&FreeCore> {
    let most = group.cores.iter().filter(|core| core.whole);
    let most = most.map(|core| unit.fit(core)).max().unwrap_or(0);
    let cores = group.cores.iter();
    cores.filter(|c| c.whole && most > 0 && unit.fit(c) == most).collect()
}

/// Returns the other cores that take a unit.
pub(super) fn broken_cores(group: &Group, unit: Unit) -> Vec<&FreeCore> {
    let whole = whole_cores(group, unit);
    let is_whole =
        |core: &FreeCore| whole.iter().any(|other| other.first == core.first);
    let cores = group.cores.iter();
    cores.filter(|c| unit.fit(c) > 0 && !is_whole(c)).collect()
}

/// Returns how many cores of a group are free as a whole.
pub(super) fn free_whole(group: &Group) -> usize {
    group.cores.iter().filter(|core| core.whole).count()
}

/// What a choice of odd cores costs, in the order of weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Choice {
    /// Cores that another VM has a part of.
    shared: i64,
    /// Cores that were whole.
    whole: u32,
    /// Sum of the first CPUs.
    sum: i64,
}

impl Choice {
    fn of(cores: &[&FreeCore]) -> Self {
        cores.iter().fold(Self::default(), |choice, core| choice.with(core))
    }

    fn with(self, core: &FreeCore) -> Self {
        Self {
            shared: self.shared + i64::from(!core.whole),
            whole: self.whole + u32::from(core.whole),
            sum: self.sum + i64::from(core.first.0),
        }
    }
}

/// Chooses the cores for so many units: least shared, then least broken,
/// then lowest.
pub(super) fn choose<'a>(
    cores: &[&'a FreeCore],
    unit: Unit,
    units: u32,
) -> Vec<&'a FreeCore> {
    // best[n]: the cheapest choice that takes at least n units.
    let mut best: Vec<Option<(Choice, Vec<usize>)>> =
        vec![None; units as usize + 1];
    best[0] = Some((Choice::default(), Vec::new()));
    for (index, core) in cores.iter().enumerate() {
        let fit = unit.fit(core) as usize;
        for n in (1..best.len()).rev() {
            let Some((choice, before)) = &best[n.saturating_sub(fit)] else {
                continue;
            };
            let choice = choice.with(core);
            if best[n].as_ref().is_none_or(|(old, _)| choice < *old) {
                let mut chosen = before.clone();
                chosen.push(index);
                best[n] = Some((choice, chosen));
            }
        }
    }
    let chosen = best.pop().flatten().map(|(_, chosen)| chosen);
    chosen.into_iter().flatten().map(|index| cores[index]).collect()
}
