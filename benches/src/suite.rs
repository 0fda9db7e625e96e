//! Rounds: every way once in each, and the figures they give.

use std::collections::BTreeMap;
use std::{fmt, mem};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::report::{Better, Choice, Figure, Report};
use crate::stats::Spread;
use crate::way::{Way, Ways};

/// What a figure measures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
}

/// What is measured: a name in a family, and for a series the number that rises.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) group: &'a str,
    pub(crate) name: &'a str,
    /// Threads or connections.
    pub(crate) at: Option<usize>,
}

impl<'a> Subject<'a> {
    pub(crate) const fn new(group: &'a str, name: &'a str) -> Self {
        Self { group, name, at: None }
    }

    pub(crate) const fn at(self, at: usize) -> Self {
        Self { at: Some(at), ..self }
    }
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, name, at } = self;
        write!(f, "{group}: {name}")?;
        at.map_or(Ok(()), |at| write!(f, " at {at}"))
    }
}

/// What every way gave once, one soon after the other: a value for each metric.
pub(crate) type Turn = BTreeMap<Way, Vec<f64>>;

/// Runs benchmarks and keeps their figures.
pub(crate) struct Suite {
    pub(crate) ways: Ways,
    /// A folder for what benchmarks need, gone at the end.
    pub(crate) folder: TempDir,
    rounds: usize,
    only: String,
    report: Report,
}

impl Suite {
    pub(crate) fn new(mut ways: Ways, rounds: usize, only: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("scone-bench-").tempdir()?;
        ways.prepare(folder.path())?;
        let report = Report::default();
        Ok(Self { ways, folder, rounds, only: only.to_owned(), report })
    }

    pub(crate) fn into_report(self) -> Report {
        self.report
    }

    /// Measures `subject`, one turn in each round: `sample` answers one value for each of `metrics`.
    /// One more turn comes first, warms caches, and does not count.
    pub(crate) fn measure(
        &mut self,
        subject: Subject<'_>,
        metrics: &[Metric],
        sample: impl FnMut(&Ways, Way) -> Result<Vec<f64>>,
    ) -> Result<()> {
        let all = self.ways.all.clone();
        self.measure_by(&all, subject, metrics, sample)
    }

    /// The same by ways of its own, natively first.
    pub(crate) fn measure_by(
        &mut self,
        all: &[Way],
        subject: Subject<'_>,
        metrics: &[Metric],
        mut sample: impl FnMut(&Ways, Way) -> Result<Vec<f64>>,
    ) -> Result<()> {
        let mut turn = |ways: &Ways| -> Result<Turn> {
            let one = |&way: &Way| {
                let values = sample(ways, way)
                    .with_context(|| format!("{subject}, {} ({})", way.name(), ways.model));
                Ok((way, values?))
            };
            all.iter().map(one).collect()
        };
        let mut is_warm = false;
        self.measure_in_turn(subject, metrics, |ways| {
            if !mem::replace(&mut is_warm, true) {
                turn(ways)?;
            }
            Ok(vec![turn(ways)?])
        })
    }

    /// Measures by rounds of several turns each, which all count.
    pub(crate) fn measure_in_turn(
        &mut self,
        subject: Subject<'_>,
        metrics: &[Metric],
        mut round: impl FnMut(&Ways) -> Result<Vec<Turn>>,
    ) -> Result<()> {
        let Subject { group, name, at } = subject;
        if !name.contains(&self.only) {
            return Ok(());
        }
        eprintln!("{subject} (cost model {})", self.ways.model);
        let mut turns: Vec<Turn> = Vec::new();
        for _ in 0..self.rounds {
            turns.extend(round(&self.ways)?);
        }
        for (index, &metric) in metrics.iter().enumerate() {
            let columns = Columns { turns: &turns, index, metric };
            for &way in turns[0].keys() {
                let value = Spread::of(columns.of(way));
                self.report.figures.push(Figure {
                    group: group.to_owned(),
                    name: name.to_owned(),
                    at,
                    metric: metric.name.to_owned(),
                    unit: metric.unit.to_owned(),
                    better: metric.better,
                    model: self.ways.model.clone(),
                    way,
                    value,
                    ratio: columns.quotient(way, Way::Native),
                    choice: columns.choice(way),
                });
            }
        }
        Ok(())
    }
}

/// One metric of all turns.
struct Columns<'a> {
    turns: &'a [Turn],
    index: usize,
    metric: Metric,
}

impl Columns<'_> {
    fn of(&self, way: Way) -> impl Iterator<Item = f64> {
        self.turns.iter().map(move |turn| turn[&way][self.index])
    }

    /// What one way gave over what another one did in the same turn.
    fn quotient(&self, way: Way, other: Way) -> Spread {
        Spread::of(self.of(way).zip(self.of(other)).map(|(way, other)| way / other))
    }

    /// How the choice of the runtime compares with the better of the ways that it chooses from.
    fn choice(&self, way: Way) -> Option<Choice> {
        let known = |way| self.turns[0].contains_key(&way);
        if way != Way::Auto || !known(Way::Sync) || !known(Way::Async) {
            return None;
        }
        let [sync, rings] = [Way::Sync, Way::Async].map(|way| Spread::of(self.of(way)).median);
        let is_sync = match self.metric.better {
            Better::Higher => sync >= rings,
            Better::Lower => sync <= rings,
        };
        let better = if is_sync { Way::Sync } else { Way::Async };
        Some(Choice { better, ratio: self.quotient(way, better) })
    }
}
