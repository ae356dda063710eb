//! Whatever a program can use of the SDK has an example: a plain look at the source, for rustdoc has no lint for it. That
//! examples compile and run is shown by the tests of the documentation.

use std::path::Path;

use crate::docs::files;

/// Folders of the SDK.
const FOLDERS: [&str; 4] = ["src/client", "src/embedded", "src/blocking", "src/bridge"];
/// What declares something that can be used from outside: whatever is `pub` can be, for the lint `unreachable_pub` is
/// denied, so there are no exceptions.
const DECLARATIONS: [&str; 8] = [
    "pub fn ",
    "pub async fn ",
    "pub const fn ",
    "pub struct ",
    "pub enum ",
    "pub trait ",
    "pub type ",
    "pub static ",
];
/// What declares a method, in a public trait.
const METHODS: [&str; 2] = ["    fn ", "    async fn "];

/// Declarations of a source that have no example, and how many have one.
fn without_example(source: &str) -> (Vec<String>, usize) {
    let (mut missing, mut shown) = (Vec::new(), 0);
    let (mut has_example, mut in_trait) = (false, false);
    let code = source.split("#[cfg(test)]\nmod ").next().unwrap();
    for whole in code.lines() {
        let line = whole.trim();
        in_trait = whole != "}" && (in_trait || line.starts_with("pub trait "));
        let is_method = in_trait && METHODS.iter().any(|it| whole.starts_with(it));
        if line.starts_with("///") {
            has_example |= line.contains("```");
        } else if is_method || DECLARATIONS.iter().any(|it| line.starts_with(it)) {
            match has_example {
                true => shown += 1,
                false => missing.push(line.to_owned()),
            }
            has_example = false;
        } else if line.is_empty() || line.ends_with(['{', '}', ';']) {
            has_example = false;
        }
    }
    (missing, shown)
}

#[test]
fn every_public_item_of_the_sdk_has_an_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut missing, mut shown) = (Vec::new(), 0);
    let mut sources = Vec::new();
    for folder in FOLDERS {
        files(&root.join(folder), "rs", &mut sources);
    }
    for path in sources {
        let source = std::fs::read_to_string(&path).unwrap();
        let (of_file, of_file_shown) = without_example(&source);
        shown += of_file_shown;
        let path = path.strip_prefix(root).unwrap().display();
        missing.extend(of_file.iter().map(|item| format!("{path}: {item}")));
    }
    assert!(shown > 250, "only {shown} items were found");
    assert!(
        missing.is_empty(),
        "without an example:\n{}",
        missing.join("\n")
    );
}

#[test]
fn an_item_without_an_example_is_noticed() {
    let source = "/// A.\n///\n/// ```\n/// a();\n/// ```\n#[must_use]\npub fn a() {}\n\n/// B.\npub struct B;\n\n\
                  pub(crate) fn c() {}\n\n/// ```\n/// e();\n/// ```\npub trait E {\n    /// F.\n    \
                  fn f(&self);\n}\n\nimpl E for B {\n    fn f(&self) {}\n}\n\
                  #[cfg(test)]\nmod tests {\n    pub fn d() {}\n}\n";
    let (missing, shown) = without_example(source);
    assert_eq!(missing, ["pub struct B;", "fn f(&self);"]);
    assert_eq!(shown, 2);
}
