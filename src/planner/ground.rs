//! The ground that placement stands on: the host, less what others hold.

use super::{Inputs, Neighbour, Subject};
use crate::base::CpuSet;
use crate::model::Objective;
use crate::model::facts::Facts;
use crate::model::policy::{Housekeeping, Policy};
use crate::placement::{
    Board, Demand, Held, Shortage, Solution, housekeeping, place,
};
use crate::rules::hugepage_reservation;

/// A host laid out for placement.
pub(super) struct Ground<'a> {
    facts: &'a Facts,
    board: Board,
    /// The same with pools that may be given pages; `None` where none may.
    roomy: Option<Board>,
    bare: Board,
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
            housekeeping: kept,
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
