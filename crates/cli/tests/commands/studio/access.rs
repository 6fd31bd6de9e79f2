//! The pages for people who see little, or nothing: the rules that axe-core knows.

use std::path::PathBuf;
use std::process::Command;

use super::{Studio, WIDTHS};
use local_stack::workspace;

/// A package of PyPI that holds axe-core 4.12. It is installed into an ignored folder.
const AXE: &str = "axe-playwright-python==0.1.8";

const PAGES: [&str; 11] = [
    "/",
    "/tables",
    "/tables/staff",
    "/tables/staff/new",
    "/tables/staff/row?key=0001",
    "/tables/staff/delete?key=0001",
    "/imports",
    "/imports/new",
    "/writes",
    "/dead-letters",
    "/dead-letters/writes",
];

/// Runs behind the text of axe-core, as the policy of the pages forbids to evaluate a text. Colours
/// change slowly when the page becomes dark.
const CHECK: &str = "
    const done = arguments[0];
    const changed = Promise.all(document.getAnimations().map(change => change.finished));
    changed.then(() => window.axe.run(document)).then(found => done(found.violations.map(violation =>
        violation.id + ': ' + violation.nodes.map(node => node.html).join(' ; '))));
";

async fn axe() -> String {
    let folder: PathBuf = workspace::root().unwrap().join(".local/axe");
    let script = folder.join("axe_playwright_python/axe.min.js");
    if !script.exists() {
        // Only the script is needed, so none of what the package depends on.
        let mut pip = Command::new(local_stack::python_interpreter().await.unwrap());
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        let installed = pip.arg("--target").arg(&folder).arg(AXE).status().unwrap();
        assert!(installed.success(), "{AXE} cannot be installed");
    }
    std::fs::read_to_string(script).unwrap()
}

/// Returns what axe-core finds on the page that is shown, at each width, light and dark.
async fn faults(studio: &Studio, check: &str) -> Vec<String> {
    let place = studio.eval("location.pathname").await;
    let mut faults = Vec::new();
    for is_dark in [false, true] {
        for width in WIDTHS {
            studio.browser.resize(width, 900, is_dark).await;
            let found = studio.browser.run(check, &[]).await;
            let found = found.as_array().unwrap().iter();
            faults.extend(found.map(|found| format!("{place} {width} {is_dark}: {found}")));
            // A page is as wide as its window: what is wider scrolls within it.
            let overflow = "document.documentElement.scrollWidth > innerWidth";
            assert_eq!(studio.eval(overflow).await, false, "{place} at {width}");
        }
    }
    studio.browser.resize(1400, 900, false).await;
    faults
}

/// Checks the page as it is, with what a script has made of it.
pub(super) async fn the_page_is_accessible(studio: &Studio) {
    let found = faults(studio, &format!("{};\n{CHECK}", axe().await)).await;
    assert!(found.is_empty(), "{found:#?}");
}

pub(super) async fn the_pages_are_accessible(studio: &Studio) {
    let check = format!("{};\n{CHECK}", axe().await);
    let mut pages: Vec<String> = PAGES.iter().map(|path| (*path).to_owned()).collect();
    for list in ["/imports", "/writes?outcome=rejected"] {
        studio.go_to(list).await;
        let first = "document.querySelector('tbody a').getAttribute('href')";
        pages.push(studio.eval(first).await.as_str().unwrap().to_owned());
    }
    // The first import of the list may have no rejected row.
    studio.go_to("/imports").await;
    studio.choose("june.csv").await;
    let mend = "location.pathname + '/mend'";
    pages.push(studio.eval(mend).await.as_str().unwrap().to_owned());
    let mut wrong = Vec::new();
    for path in &pages {
        studio.go_to(path).await;
        wrong.extend(faults(studio, &check).await);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
