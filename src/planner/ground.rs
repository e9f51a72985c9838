//! The ground that placement stands on: the host, less what others hold.

use super::{Inputs, Neighbour, Subject};
use crate::base::CpuSet;
use crate::model::facts::Facts;
use crate::model::policy::{Housekeeping, Policy};
use crate::placement::{
    Board, Demand, Held, Shortage, Solution, housekeeping, place,
};

/// A host laid out for placement.
pub(super) struct Ground<'a> {
    facts: &'a Facts,
    board: Board,
    bare: Board,
    /// CPUs that are kept for the host.
    pub(super) housekeeping: CpuSet,
    /// CPUs that VMs outside of the plan hold.
    pub(super) others: CpuSet,
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
        let others = held.cpus.clone();
        Self {
            facts,
            board: Board::of(facts, kept.clone(), &held, &all(true), &returned),
            bare: Board::of(facts, kept.clone(), &none, &none, &none),
            housekeeping: kept,
            others,
        }
    }

    /// Reads what the subjects need under a policy.
    pub(super) fn demands(
        &self,
        subjects: &[&Subject],
        policy: &Policy,
    ) -> Vec<Demand> {
        let demand = |subject: &&Subject| {
            let domain = &subject.domain;
            let policy = policy.for_vm(domain.name.as_str());
            Demand::of(domain, self.facts, &policy)
        };
        subjects.iter().map(demand).collect()
    }

    /// Places them.
    pub(super) fn place(
        &self,
        demands: &[Demand],
    ) -> Result<Solution, Shortage> {
        place(&self.facts.topology, &self.board, &self.bare, demands)
    }

    /// Returns the first housekeeping CPU's core as a policy would name it.
    pub(super) fn smallest_housekeeping(&self) -> Option<Housekeeping> {
        let topology = &self.facts.topology;
        let core = topology.core_of(self.housekeeping.first()?)?;
        (core.cpus != self.housekeeping)
            .then(|| Housekeeping::Cpus(core.cpus.clone()))
    }
}
