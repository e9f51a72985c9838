//! Values by key, each with its line where it cannot be read.

use std::ops::RangeInclusive;

use super::super::error::{ConfError, ConfProblem};
use super::super::property;
use super::super::text::Conf;
use crate::base::{ConfPath, ParseValueError};

/// Reads values of a definition.
pub(super) struct Reader<'c> {
    conf: &'c Conf,
}

impl<'c> Reader<'c> {
    pub(super) const fn new(conf: &'c Conf) -> Self {
        Self { conf }
    }

    /// Returns what stands at a place: `cores`, `cpu/cputype`.
    fn at(&self, path: &str) -> Option<&'c str> {
        let path: ConfPath = path.parse().ok()?;
        self.conf.find(&path).filter(|value| !value.is_empty())
    }

    /// Returns what stands at a place, as a text of its own.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        self.at(path).map(ToOwned::to_owned)
    }

    /// Returns whether a place has this value.
    pub(super) fn is(&self, path: &str, value: &str) -> bool {
        self.at(path) == Some(value)
    }

    /// Walks the keys of a kind that are numbered: `numa0`, `numa1`.
    pub(super) fn numbered(
        &self,
        stem: &str,
    ) -> impl Iterator<Item = (u32, &'c str)> {
        let mut found: Vec<_> = self
            .conf
            .keys()
            .into_iter()
            .filter_map(|key| {
                Some((key.strip_prefix(stem)?.parse().ok()?, key))
            })
            .collect();
        found.sort_unstable();
        found.into_iter()
    }

    /// Reads the value at a place.
    pub(super) fn parse<T>(
        &self,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, ParseValueError>,
    ) -> Result<Option<T>, ConfError> {
        let value = self.at(path).map(parse).transpose();
        value.map_err(|problem| self.wrong(path, problem))
    }

    /// Reads a number at a place.
    pub(super) fn number<T: std::str::FromStr + PartialOrd>(
        &self,
        path: &str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, ConfError> {
        self.parse(path, |text| {
            text.parse()
                .ok()
                .filter(|number| range.contains(number))
                .ok_or_else(|| {
                    ParseValueError::new(
                        text,
                        "a number that Proxmox takes here",
                    )
                })
        })
    }

    /// Reads a yes or no at a place, as Proxmox spells it.
    pub(super) fn flag(
        &self,
        path: &str,
        default: bool,
    ) -> Result<bool, ConfError> {
        let flag = self.parse(path, |text| {
            property::flag(text)
                .ok_or_else(|| ParseValueError::new(text, "0 or 1"))
        })?;
        Ok(flag.unwrap_or(default))
    }

    /// Says that the value at a place is not what it should be.
    pub(super) fn fault(&self, path: &str, what: &'static str) -> ConfError {
        let text = self.at(path).unwrap_or_default();
        self.wrong(path, ParseValueError::new(text, what))
    }

    /// Says that a property must be there.
    pub(super) fn missing(&self, key: &str, property: &str) -> ConfError {
        let line = self.conf.line(key).unwrap_or(1);
        let problem = match format!("{key}/{property}").parse() {
            Ok(path) => ConfProblem::Missing(path),
            Err(problem) => ConfProblem::Value { key: key.into(), problem },
        };
        ConfError { line, problem }
    }

    fn wrong(&self, path: &str, problem: ParseValueError) -> ConfError {
        let key = path.split('/').next().unwrap_or(path).to_owned();
        let line = self.conf.line(&key).unwrap_or(1);
        ConfError { line, problem: ConfProblem::Value { key, problem } }
    }
}
