#!/bin/sh
# Stands before rustc (RUSTC_WRAPPER). Cargo tells crates apart by a hash in `-C metadata`, and for
# `boundary/`, which lies outside of the enclave's workspace, it hashes the absolute path. That
# hash becomes part of symbols, and these decide about the order of functions. So crates below
# SCONE_ROOT get their name instead.
rustc=$1
shift
case $CARGO_MANIFEST_DIR in
"$SCONE_ROOT"/*)
    for word do
        shift
        case $word in
        metadata=*) word=metadata=$CARGO_PKG_NAME-$CARGO_PKG_VERSION ;;
        esac
        set -- "$@" "$word"
    done
    ;;
esac
exec "$rustc" "$@"
