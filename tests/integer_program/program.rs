//! An integer program that is solved level by level.

use microlp::{
    ComparisonOp, Error, OptimizationDirection, Problem, SolveOptions, Variable,
};

use crate::{Cost, LEVELS};

/// An integer program with seven objectives.
#[derive(Default)]
pub(crate) struct Program {
    /// What each variable costs.
    costs: Vec<Cost>,
    rows: Vec<Row>,
}

struct Row {
    sum: Vec<(usize, i64)>,
    op: ComparisonOp,
    right: i64,
}

impl Program {
    pub(crate) fn binary(&mut self, cost: Cost) -> usize {
        self.costs.push(cost);
        self.costs.len() - 1
    }

    pub(crate) fn row(
        &mut self,
        sum: impl IntoIterator<Item = (usize, i64)>,
        op: ComparisonOp,
        right: i64,
    ) {
        self.rows.push(Row { sum: sum.into_iter().collect(), op, right });
    }

    pub(crate) fn cost(&self, values: &[i64], level: usize) -> i64 {
        let costs = self.costs.iter().zip(values);
        costs.map(|(cost, value)| cost[level] * value).sum()
    }

    /// Returns the best values at a level, the former ones being fixed;
    /// `None` where nothing meets the rows.
    pub(crate) fn best(
        &self,
        level: usize,
        fixed: &[i64],
        hint: &[i64],
    ) -> Option<Vec<i64>> {
        let float = |n: i64| f64::from(i32::try_from(n).unwrap());
        let mut problem = Problem::new(OptimizationDirection::Minimize);
        let costs = self.costs.iter();
        let all: Vec<Variable> = costs
            .map(|cost| problem.add_binary_var(float(cost[level])))
            .collect();
        let mut add = |sum: &[(usize, i64)], op, right| {
            let terms = sum.iter().map(|&(n, by)| (all[n], float(by)));
            let terms: Vec<_> = terms.collect();
            problem.add_constraint(&terms[..], op, float(right));
        };
        for row in &self.rows {
            add(&row.sum, row.op, row.right);
        }
        for (level, &most) in fixed.iter().enumerate() {
            let costs = self.costs.iter().enumerate();
            let costs = costs.map(|(n, cost)| (n, cost[level]));
            let sum: Vec<_> = costs.filter(|(_, cost)| *cost != 0).collect();
            if !sum.is_empty() {
                add(&sum, ComparisonOp::Le, most);
            }
        }
        let hint = all.iter().zip(hint).map(|(&v, &n)| (v, float(n)));
        let hint: Vec<_> = hint.collect();
        let mut options = SolveOptions::default();
        options.warm_start = (!hint.is_empty()).then_some(hint);
        let solution = match problem.solve_with(options) {
            Ok(outcome) => outcome.into_solution().unwrap(),
            Err(Error::Infeasible) => return None,
            Err(error) => panic!("the program at level {level}: {error}"),
        };
        let values =
            all.iter().map(|&v| i64::from(solution.var_value(v) > 0.5));
        let values: Vec<_> = values.collect();
        self.check(&values);
        Some(values)
    }

    /// Checks the rows without rounding.
    fn check(&self, values: &[i64]) {
        for row in &self.rows {
            let terms = row.sum.iter();
            let sum: i64 = terms.map(|&(n, by)| by * values[n]).sum();
            let holds = match row.op {
                ComparisonOp::Le => sum <= row.right,
                ComparisonOp::Ge => sum >= row.right,
                ComparisonOp::Eq => sum == row.right,
            };
            assert!(holds, "the program's answer breaks a row");
        }
    }

    /// Minimises level by level.
    pub(crate) fn least(&self) -> Option<Cost> {
        let mut values = Vec::new();
        let mut fixed = Vec::new();
        for level in 0..LEVELS {
            // Where nothing costs anything, there is nothing to minimise.
            if self.costs.iter().any(|cost| cost[level] != 0) {
                values = self.best(level, &fixed, &values)?;
            }
            fixed.push(self.cost(&values, level));
        }
        fixed.try_into().ok()
    }
}
