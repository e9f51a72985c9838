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

/// How many units are taken from a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Take {
    pub(super) units: u32,
    /// How many of them are to be on cores that others have a part of,
    /// although whole ones may be free: so that these are left to another of
    /// the VMs that are placed together. `None` for what is cheapest.
    pub(super) odd: Option<u32>,
}

impl Take {
    pub(super) const fn cheapest(units: u32) -> Self {
        Self { units, odd: None }
    }
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
    let price = price(group, enters_l3, weight);
    let choices = choices(group, unit, most);
    (0..).zip(choices).map(|(units, choice)| price(choice, units)).collect()
}

/// Returns every way to take so many units from a group, with its cost.
pub(super) fn takes(
    group: &Group,
    unit: Unit,
    units: u32,
    enters_l3: bool,
    weight: i64,
) -> Vec<(Take, Point)> {
    let price = price(group, enters_l3, weight);
    let takes = (0..=units).filter_map(|odd| {
        let take = Take { units, odd: Some(odd) };
        let chosen = choose(group, unit, take);
        let room: u32 = chosen.iter().map(|core| unit.fit(core)).sum();
        let choice = chosen.iter().copied();
        let choice = choice.fold(Choice::default(), Choice::with);
        (room >= units).then(|| (take, price(choice, units)))
    });
    takes.collect()
}

/// Returns what a choice of a group's cores costs for so many units.
fn price(
    group: &Group,
    enters_l3: bool,
    weight: i64,
) -> impl Fn(Choice, u32) -> Point {
    let free = u32::try_from(free_whole(group)).unwrap_or(u32::MAX);
    let capacity = group.capacity;
    move |choice, units| {
        let mut cost = Objective::default();
        cost.0[2] = i64::from(enters_l3 && units > 0);
        cost.0[3] = choice.shared;
        let lost = worth(free, capacity) - worth(free - choice.whole, capacity);
        cost.0[5] = weight * lost;
        cost.0[6] = choice.sum;
        Point { cost, whole: choice.whole }
    }
}

/// Chooses the cores for so many units: least shared, then least broken,
/// then lowest. The same choice that the curve has counted.
pub(super) fn choose(group: &Group, unit: Unit, take: Take) -> Vec<&FreeCore> {
    if let Some(odd) = take.odd {
        let of = |whole| group.cores.iter().filter(move |c| c.whole == whole);
        let mut chosen = cheapest(of(true), unit, take.units - odd);
        chosen.extend(cheapest(of(false), unit, odd));
        return chosen;
    }
    let mut chosen = alike(group, unit).unwrap_or_default();
    let room: u32 = chosen.iter().map(|core| unit.fit(core)).sum();
    if take.units > room {
        return cheapest(group.cores.iter(), unit, take.units);
    }
    let mut left = take.units;
    chosen.retain(|core| {
        let needed = left > 0;
        left = left.saturating_sub(unit.fit(core));
        needed
    });
    chosen
}

/// Returns the cheapest choice of cores for 0, 1, 2, … units.
fn choices(group: &Group, unit: Unit, most: u32) -> Vec<Choice> {
    let alike = alike(group, unit);
    let odd = |core: &FreeCore| {
        unit.fit(core) > 0 && (!core.whole || alike.is_none())
    };
    let has_odd = group.cores.iter().any(odd);
    let mut choices = vec![Choice::default()];
    let mut choice = Choice::default();
    let mut left = most;
    for core in alike.iter().flatten() {
        choice = choice.with(core);
        let fit = unit.fit(core).min(left);
        choices.extend(std::iter::repeat_n(choice, fit as usize));
        left -= fit;
    }
    if left > 0 && has_odd {
        let cores: Vec<_> = group.cores.iter().collect();
        let rest = best(&cores, unit, most).into_iter().skip(choices.len());
        choices.extend(rest.map_while(|best| best.map(|(choice, _)| choice)));
    }
    choices
}

/// Returns the whole cores that take a unit, lowest first, where they are
/// all alike; `None` where some have fewer siblings online than others.
fn alike(group: &Group, unit: Unit) -> Option<Vec<&FreeCore>> {
    let whole = group.cores.iter().filter(|c| c.whole && unit.fit(c) > 0);
    let whole: Vec<_> = whole.collect();
    let fit = whole.first().map_or(0, |core| unit.fit(core));
    whole.iter().all(|core| unit.fit(core) == fit).then_some(whole)
}

/// Returns how many cores of a group are free as a whole.
pub(super) fn free_whole(group: &Group) -> usize {
    group.cores.iter().filter(|core| core.whole).count()
}

/// What a choice of cores costs, in the order of weight.
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
    fn with(self, core: &FreeCore) -> Self {
        Self {
            shared: self.shared + i64::from(!core.whole),
            whole: self.whole + u32::from(core.whole),
            sum: self.sum + i64::from(core.first.0),
        }
    }
}

/// Returns the cheapest of these cores that take so many units; none where
/// they do not suffice.
fn cheapest<'a>(
    cores: impl Iterator<Item = &'a FreeCore>,
    unit: Unit,
    units: u32,
) -> Vec<&'a FreeCore> {
    let cores: Vec<_> = cores.collect();
    let best = best(&cores, unit, units).pop().flatten();
    let chosen = best.into_iter().flat_map(|(_, chosen)| chosen);
    chosen.map(|index| cores[index]).collect()
}

/// A choice and the places of its cores.
type Best = Option<(Choice, Vec<usize>)>;

/// Returns for 0, 1, 2, … units the cheapest choice of cores that takes at
/// least so many, as far as `most`: a dynamic programme over the cores.
fn best(cores: &[&FreeCore], unit: Unit, most: u32) -> Vec<Best> {
    let mut best: Vec<Best> = vec![None; most as usize + 1];
    best[0] = Some((Choice::default(), Vec::new()));
    for (index, core) in cores.iter().enumerate() {
        let fit = unit.fit(core) as usize;
        if fit == 0 {
            continue;
        }
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
    best
}
