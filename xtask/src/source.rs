//! Reads Rust files as tokens, so that comments and strings are never mistaken for code.

use std::collections::BTreeSet;
use std::ops::AddAssign;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, anyhow};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// What one file, or one crate, holds. Items under `#[cfg(test)]` are left out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Lines that carry at least one token that is no documentation.
    pub code_lines: usize,
    /// `unsafe { ... }`
    pub unsafe_blocks: usize,
    /// `unsafe fn`, `unsafe impl`, `unsafe trait`, `unsafe extern`, `unsafe(attribute)`.
    pub unsafe_items: usize,
    /// `static mut`
    pub static_muts: usize,
    /// Uses of a name `transmute` or `transmute_copy`.
    pub transmutes: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.code_lines += other.code_lines;
        self.unsafe_blocks += other.unsafe_blocks;
        self.unsafe_items += other.unsafe_items;
        self.static_muts += other.static_muts;
        self.transmutes += other.transmutes;
    }
}

/// Counts the tokens of one Rust source text.
///
/// # Errors
/// When `text` is not a sequence of Rust tokens.
pub fn count(text: &str) -> Result<Counts> {
    let stream = TokenStream::from_str(text).map_err(|e| anyhow!("{e}"))?;
    let mut walk = Walk::default();
    walk.stream(stream);
    walk.counts.code_lines = walk.lines.len();
    Ok(walk.counts)
}

/// Counts one file.
///
/// # Errors
/// When it cannot be read, or is not Rust.
pub fn count_file(path: &Path) -> Result<Counts> {
    let text = fs_err(path, std::fs::read_to_string(path))?;
    count(&text).with_context(|| format!("{}: not Rust", path.display()))
}

/// Every `.rs` file under `dir`, sorted; `target` folders are skipped.
///
/// # Errors
/// When a folder cannot be read.
pub fn rust_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs_err(&dir, std::fs::read_dir(&dir))? {
            let path = entry?.path();
            if path.is_dir() {
                if !path.ends_with("target") {
                    todo.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn fs_err<T>(path: &Path, result: std::io::Result<T>) -> Result<T> {
    result.with_context(|| format!("cannot read {}", path.display()))
}

#[derive(Default)]
struct Walk {
    counts: Counts,
    lines: BTreeSet<usize>,
}

impl Walk {
    fn stream(&mut self, stream: TokenStream) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += match attribute(&tokens[at..]) {
                Some((group, length)) if first_ident(group).as_deref() == Some("doc") => length,
                Some((group, _)) if is_cfg_test(group) => skip_item(&tokens[at..]),
                _ => {
                    self.token(token, tokens.get(at + 1));
                    1
                }
            };
        }
    }

    fn token(&mut self, token: &TokenTree, next: Option<&TokenTree>) {
        match token {
            TokenTree::Group(group) => {
                self.lines.insert(group.span_open().start().line);
                self.stream(group.stream());
                self.lines.insert(group.span_close().start().line);
                return;
            }
            TokenTree::Ident(ident) => self.ident(&ident.to_string(), next),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        let span = token.span();
        self.lines.extend(span.start().line..=span.end().line);
    }

    fn ident(&mut self, name: &str, next: Option<&TokenTree>) {
        match (name, next) {
            ("unsafe", Some(TokenTree::Group(g))) if g.delimiter() == Delimiter::Brace => {
                self.counts.unsafe_blocks += 1;
            }
            ("unsafe", _) => self.counts.unsafe_items += 1,
            ("static", Some(TokenTree::Ident(i))) if i == "mut" => self.counts.static_muts += 1,
            ("transmute" | "transmute_copy", _) => self.counts.transmutes += 1,
            _ => {}
        }
    }
}

/// The bracketed group of an outer or inner attribute that starts here, and how many tokens it takes.
fn attribute(tokens: &[TokenTree]) -> Option<(&Group, usize)> {
    let is = |t: Option<&TokenTree>, c| matches!(t, Some(TokenTree::Punct(p)) if p.as_char() == c);
    if !is(tokens.first(), '#') {
        return None;
    }
    let group = if is(tokens.get(1), '!') { 2 } else { 1 };
    match tokens.get(group) {
        Some(TokenTree::Group(g)) if g.delimiter() == Delimiter::Bracket => Some((g, group + 1)),
        _ => None,
    }
}

fn first_ident(group: &Group) -> Option<String> {
    match group.stream().into_iter().next() {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        _ => None,
    }
}

fn is_cfg_test(group: &Group) -> bool {
    group.stream().to_string().replace(' ', "") == "cfg(test)"
}

/// How many tokens to the end of the item that starts here: its braces, or its semicolon.
fn skip_item(tokens: &[TokenTree]) -> usize {
    let end = tokens.iter().position(|t| match t {
        TokenTree::Group(g) => g.delimiter() == Delimiter::Brace,
        TokenTree::Punct(p) => p.as_char() == ';',
        _ => false,
    });
    end.map_or(tokens.len(), |e| e + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_code_and_not_what_is_written_about_it() {
        let text = r#"
            //! unsafe { }
            /// static mut in words, transmute too
            static mut A: u8 = 0;
            unsafe fn f() { let s = "unsafe { transmute }"; }
            fn g() {
                unsafe { core::mem::transmute::<u8, i8>(1) };
            }
        "#;
        let expected = Counts {
            code_lines: 5,
            unsafe_blocks: 1,
            unsafe_items: 1,
            static_muts: 1,
            transmutes: 1,
        };
        assert_eq!(count(text).unwrap(), expected);
    }

    #[test]
    fn leaves_out_tests() {
        let text =
            "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { unsafe { c() } }\n}\nfn d() {}\n";
        let counts = count(text).unwrap();
        assert_eq!((counts.code_lines, counts.unsafe_blocks), (2, 0));
    }

    #[test]
    fn refuses_what_is_not_rust() {
        assert!(count("fn ( {").is_err());
    }
}
