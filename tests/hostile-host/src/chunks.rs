//! Lies about single chunks of a transfer.

use anyhow::{Context, Result};
use hostcall_abi::{chunks, request::flag};
use launcher::Tamper;
use worker::Request;

use crate::replies::Claim;

/// `chunks INDEX:RESULT[,INDEX:RESULT...]`: what chunks say they have moved, by their place in the
/// transfer; a result `+N` is N more than was asked for.
#[derive(Debug)]
pub(crate) struct Chunks {
    claims: Vec<(usize, Claim)>,
}

impl Chunks {
    pub(crate) fn new(claims: &str) -> Result<Self> {
        let claim = |text: &str| {
            let (index, result) = text.split_once(':').context("a claim is INDEX:RESULT")?;
            Ok((index.parse()?, Claim::new(result)?))
        };
        Ok(Self { claims: claims.split(',').map(claim).collect::<Result<_>>()? })
    }
}

/// The place of a chunk in its transfer; `None` for all other requests.
fn place(request: &Request) -> Option<usize> {
    let mut first = *request;
    (first.flags() & flag::CHUNK != 0).then(|| {
        let mut place = 0;
        while let Some(before) = first.before().filter(|_| place < chunks::MOST) {
            (first, place) = (before, place + 1);
        }
        place
    })
}

impl Tamper for Chunks {
    fn after(&self, request: &Request) {
        let Some(place) = place(request) else { return };
        for (_, claim) in self.claims.iter().filter(|(index, _)| *index == place) {
            request.set_result(claim.about(request));
        }
    }
}
