//! The ground that placement stands on: the host, less what others hold.

use super::{Inputs, Neighbour, Subject};
use crate::base::{CpuSet, DomainName, PciAddress};
use crate::model::Objective;
use crate::model::domain::Domain;
use crate::model::facts::Facts;
use crate::model::policy::{Housekeeping, Policy};
use crate::placement::{
    Board, Demand, Functions, Held, Shortage, Solution, Wish, housekeeping,
    place,
};
use crate::rules::{hostdev_vf, hugepage_reservation};

/// A host laid out for placement.
pub(super) struct Ground<'a> {
    facts: &'a Facts,
    board: Board,
    /// The same with pools that may be given pages; `None` where none may.
    roomy: Option<Board>,
    bare: Board,
    functions: Functions<'a>,
    /// CPUs that are kept for the host.
    pub(super) housekeeping: CpuSet,
}

impl<'a> Ground<'a> {
    /// Lays out the host of these inputs.
    pub(super) fn of(inputs: &Inputs<'a>, policy: &Policy) -> Self {
        Self::without(inputs, policy, None)
    }

    /// Lays out the host as if one neighbour were not there.
    pub(super) fn without(
        inputs: &Inputs<'a>,
        policy: &Policy,
        absent: Option<usize>,
    ) -> Self {
        let neighbours = inputs.neighbours.iter().enumerate();
        let present: Vec<&Neighbour> = neighbours
            .filter(|(at, _)| Some(*at) != absent)
            .map(|(_, neighbour)| neighbour)
            .collect();
        Self::lay(inputs, policy, &present)
    }

    fn lay(
        inputs: &Inputs<'a>,
        policy: &Policy,
        present: &[&Neighbour],
    ) -> Self {
        let facts = inputs.facts;
        let topology = &facts.topology;
        let kept = housekeeping(topology, &policy.cpu.housekeeping);
        let by = |neighbour: &Neighbour| {
            let each = neighbour.definitions.iter();
            each.map(|domain| Held::by(domain, topology, policy))
                .fold(Held::default(), |all, one| all.or(&one))
        };
        let all = |only_asleep: bool| {
            present
                .iter()
                .filter(|neighbour| !(only_asleep && neighbour.running))
                .fold(Held::default(), |all, one| all.and(&by(one)))
        };
        let live = inputs.subjects.iter().filter_map(|s| s.live.as_ref());
        let returned = live
            .map(|domain| Held::by(domain, topology, policy))
            .fold(Held::default(), |all, one| all.and(&one));
        let none = Held::default();
        let held = all(false);
        let board =
            Board::of(facts, kept.clone(), &held, &all(true), &returned);
        let pools = hugepage_reservation::growing(facts, policy);
        Self {
            facts,
            roomy: (!pools.is_empty()).then(|| board.clone().growing(pools)),
            board,
            bare: Board::of(facts, kept.clone(), &none, &none, &none),
            functions: Functions::of(facts, holders(inputs, present)),
            housekeeping: kept,
        }
    }

    /// Reads what the subjects need under a policy.
    pub(super) fn demands(
        &self,
        subjects: &[&Subject],
        policy: &Policy,
    ) -> Vec<Demand> {
        let wishes = self.wishes(subjects, policy);
        self.demands_with(subjects, policy, &wishes)
    }

    /// Places the subjects, and gives them the functions that their policy
    /// asks for.
    pub(super) fn settle(
        &self,
        subjects: &[&Subject],
        policy: &Policy,
    ) -> Result<Solution, Shortage> {
        let mut wishes = self.wishes(subjects, policy);
        let mut doubtful = Functions::of_any_card(&wishes);
        loop {
            let mut solution = loop {
                let demands = self.demands_with(subjects, policy, &wishes);
                match (self.place(&demands), doubtful.pop()) {
                    (Ok(solution), _) => break solution,
                    (Err(short), None) => return Err(short),
                    (Err(short), Some((vm, at))) => {
                        wishes[vm][at].give_up(&short.what.to_string());
                    }
                }
            };
            let placements = &mut solution.placements;
            match self.functions.give(&mut wishes, placements) {
                Ok(given) => {
                    for (placement, nics) in placements.iter_mut().zip(given) {
                        placement.nics = nics;
                    }
                    return Ok(solution);
                }
                Err(decided) => doubtful = decided,
            }
        }
    }

    fn wishes(&self, subjects: &[&Subject], policy: &Policy) -> Vec<Vec<Wish>> {
        let wishes = |subject: &&Subject| {
            let domain = &subject.domain;
            let table = policy.vm_table(domain.name.as_str());
            let nics = table.map_or(&[][..], |table| &table.nics);
            self.functions.wishes(domain, nics)
        };
        subjects.iter().map(wishes).collect()
    }

    fn demands_with(
        &self,
        subjects: &[&Subject],
        policy: &Policy,
        wishes: &[Vec<Wish>],
    ) -> Vec<Demand> {
        let demand = |(subject, wishes): (&&Subject, &Vec<Wish>)| {
            let domain = &subject.domain;
            let policy = policy.for_vm(domain.name.as_str());
            let mut demand = Demand::of(domain, self.facts, &policy);
            if policy.plans(hostdev_vf::RULE.id) {
                let wished = wishes.iter();
                let wished = wished.filter_map(|w| w.device(&self.functions));
                demand.devices.extend(wished);
            }
            demand
        };
        subjects.iter().zip(wishes).map(demand).collect()
    }

    /// Places them. Pages are reserved where that gains a better placement,
    /// or the only one: where pages are free and the placement is as good but
    /// for what is left over, it is taken as it is.
    pub(super) fn place(
        &self,
        demands: &[Demand],
    ) -> Result<Solution, Shortage> {
        let on =
            |board| place(&self.facts.topology, board, &self.bare, demands);
        let Some(roomy) = &self.roomy else { return on(&self.board) };
        let best = on(roomy)?;
        if best.reservations.is_empty() {
            return Ok(best);
        }
        let cost = |solution: &Solution| {
            let all: Objective = solution.objectives.iter().copied().sum();
            let [levels @ .., _, _] = all.0;
            levels
        };
        let plain = on(&self.board).ok();
        let as_good = plain.filter(|plain| cost(plain) <= cost(&best));
        Ok(as_good.unwrap_or(best))
    }

    /// Returns the first housekeeping CPU's core as a policy would name it.
    pub(super) fn smallest_housekeeping(&self) -> Option<Housekeeping> {
        let topology = &self.facts.topology;
        let core = topology.core_of(self.housekeeping.first()?)?;
        (core.cpus != self.housekeeping)
            .then(|| Housekeeping::Cpus(core.cpus.clone()))
    }
}

/// Returns which VM has which function, by any of its definitions.
fn holders(
    inputs: &Inputs<'_>,
    present: &[&Neighbour],
) -> Vec<(DomainName, PciAddress)> {
    let neighbours = present.iter().flat_map(|n| &n.definitions);
    let subjects = inputs.subjects.iter();
    let subjects = subjects.flat_map(|s| s.live.iter().chain([&s.domain]));
    let has = |domain: &Domain| -> Vec<_> {
        let devices = domain.devices.hostdevs.iter();
        devices.map(|dev| (domain.name.clone(), dev.source)).collect()
    };
    neighbours.chain(subjects).flat_map(has).collect()
}
