//! `include/blemish.h` is what cbindgen makes of this crate. `BLEMISH_WRITE_HEADER=1 cargo test -p blemish-c` writes it anew.

use std::path::Path;

#[test]
fn the_header_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    let sources = ["boundary", "buffer", "failure", "result"].map(|name| root.join(format!("src/{name}.rs")));
    let builder = sources.iter().fold(cbindgen::Builder::new(), |builder, path| builder.with_src(path));
    let mut header = Vec::new();
    builder.with_config(config).generate().expect("a header").write(&mut header);
    let (header, path) = (String::from_utf8(header).expect("text"), root.join("include/blemish.h"));
    if std::env::var_os("BLEMISH_WRITE_HEADER").is_some() {
        std::fs::write(&path, &header).expect("writable");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == header,
        "blemish.h differs from the sources: BLEMISH_WRITE_HEADER=1 cargo test -p blemish-c --test header"
    );
}
