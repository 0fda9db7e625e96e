//! Rounds: every way once in each, and the figures they give.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::report::{Better, Figure, Report};
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

    /// Measures `subject`: `sample` answers one value for each of `metrics`. The first round warms
    /// caches, and does not count.
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
        let Subject { group, name, at } = subject;
        if !name.contains(&self.only) {
            return Ok(());
        }
        let number = at.map(|at| format!(" at {at}")).unwrap_or_default();
        eprintln!("{group}: {name}{number} (cost model {})", self.ways.model);
        let mut rounds: BTreeMap<Way, Vec<Vec<f64>>> = BTreeMap::new();
        for round in 0..=self.rounds {
            for &way in all {
                let values = sample(&self.ways, way)
                    .with_context(|| format!("{name}, {} ({})", way.name(), self.ways.model))?;
                assert_eq!(values.len(), metrics.len(), "{name}: one value for each metric");
                if round > 0 {
                    rounds.entry(way).or_default().push(values);
                }
            }
        }
        for (index, metric) in metrics.iter().enumerate() {
            let column = |way: Way| rounds[&way].iter().map(move |values| values[index]);
            for &way in all {
                let ratio =
                    column(way).zip(column(Way::Native)).map(|(here, native)| here / native);
                self.report.figures.push(Figure {
                    group: group.to_owned(),
                    name: name.to_owned(),
                    at,
                    metric: metric.name.to_owned(),
                    unit: metric.unit.to_owned(),
                    better: metric.better,
                    model: self.ways.model.clone(),
                    way,
                    value: Spread::of(column(way)),
                    ratio: Spread::of(ratio),
                });
            }
        }
        Ok(())
    }
}
