#!/usr/bin/env bash
# Builds the C library and installs it, headers, pkg-config file and CMake package: install.sh PREFIX
# BLEMISH_BUILT: a folder that holds the libraries already; then nothing is built.
set -euo pipefail
prefix=${1:?usage: install.sh PREFIX}
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
profile=${BLEMISH_PROFILE:-release}
built=${BLEMISH_BUILT:-}
if [ -z "$built" ]; then
    cargo build --profile "$profile" -p blemish-c
    [ "$profile" = dev ] && folder=debug || folder=$profile
    built=${CARGO_TARGET_DIR:-target}/$folder
fi
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)

mkdir -p "$prefix"/include "$prefix"/lib/pkgconfig "$prefix"/lib/cmake/blemish
install -m 644 "$here"/include/blemish.h "$here"/include/blemish.hpp "$prefix"/include/
install -m 644 "$built"/libblemish_c.a "$prefix"/lib/
case $(uname -s) in
Darwin)
    install -m 755 "$built"/libblemish_c.dylib "$prefix"/lib/
    strip -x "$prefix"/lib/libblemish_c.dylib
    private="-lpthread -ldl -lm"
    ;;
*)
    install -m 755 "$built"/libblemish_c.so "$prefix"/lib/libblemish_c.so.0
    strip --strip-all "$prefix"/lib/libblemish_c.so.0
    strip --strip-debug "$prefix"/lib/libblemish_c.a
    ln -sf libblemish_c.so.0 "$prefix"/lib/libblemish_c.so
    private="-lgcc_s -lutil -lrt -lpthread -lm -ldl"
    ;;
esac
sed "s/@VERSION@/$version/; s/@PRIVATE@/$private/" "$here"/package/blemish.pc.in >"$prefix"/lib/pkgconfig/blemish.pc
sed "s/@VERSION@/$version/; s/@MAJOR_MINOR@/${version%.*}/" "$here"/package/blemishConfigVersion.cmake.in \
    >"$prefix"/lib/cmake/blemish/blemishConfigVersion.cmake
install -m 644 "$here"/package/blemishConfig.cmake "$prefix"/lib/cmake/blemish/
