use std::collections::HashMap;

use aurora_sync_catalog::notation::table;
use proptest::prelude::*;
use uuid::Uuid;

use super::super::{CALL_BYTES_MAX, SET_ROWS_MAX};
use super::*;

/// A parent, its child and its grandchild; the column `rule` has a check.
const TABLES: [(&str, &str); 7] = [
    ("parent", "id integer key, a integer, rule integer rules, made integer default"),
    ("child", "id integer key, parent integer references=parent.id, a integer"),
    ("grandchild", "id integer key, child integer references=child.id, a integer"),
    ("node", "id integer key, node integer references=node.id, a integer"),
    ("owner", "id integer key, code text unique, a integer"),
    ("thing", "id integer key, owner text references=owner.code, a integer"),
    ("versioned", "id integer key, v integer version, a integer"),
];

fn catalog() -> Catalog {
    let tables = TABLES.iter().map(|(name, columns)| table(name, columns));
    Catalog::new(tables.collect(), Vec::new())
}

/// Reads a write such as `update parent 1 a=2 rule`; a column without a value is NULL.
fn write(catalog: &Catalog, text: &str) -> Write {
    let mut words = text.split(' ');
    let operation = match words.next().unwrap() {
        "insert" => Operation::Insert,
        "upsert" => Operation::Upsert,
        "update" => Operation::Update,
        "delete" => Operation::Delete,
        other => panic!("{other}"),
    };
    let table = catalog.table(words.next().unwrap()).unwrap();
    let id = words.next().unwrap();
    let mut row = vec![("id".to_owned(), Some(id.to_owned()))];
    row.extend(words.map(|word| match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (word.to_owned(), None),
    }));
    Write {
        id: Uuid::now_v7(),
        table: table.path(),
        operation,
        key: Key::of_row(table, |_| Some(id)),
        row,
        accepted_at_ms: 0,
        fingerprint: None,
        precondition: None,
        caller: Arc::default(),
    }
}

/// Shows each step as `operation table: change change`, and a change as the indexes of its writes.
fn shown(folding: Folding, texts: &[&str]) -> Vec<String> {
    let catalog = catalog();
    let writes: Vec<_> = texts.iter().map(|text| write(&catalog, text)).collect();
    let steps = plan(&catalog, &writes.iter().collect::<Vec<_>>(), folding);
    let show_change = |change: &Change| {
        change.writes.iter().map(ToString::to_string).collect::<Vec<_>>().join("+")
    };
    steps
        .iter()
        .map(|step| {
            let changes: Vec<_> = step.changes.iter().map(show_change).collect();
            let Group { table, operation, .. } = &step.group;
            format!("{} {table}: {}", operation.as_str(), changes.join(" "))
        })
        .collect()
}

#[track_caller]
fn check(texts: &[&str], expected: &[&str]) {
    assert_eq!(shown(Folding::Neighbours, texts), expected);
}

#[test]
fn writes_of_one_group_share_a_step_sorted_by_key() {
    check(
        &["insert parent 3 a=1", "insert parent 1 a=1", "insert parent 2 a=1"],
        &["insert parent: 1 2 0"],
    );
    check(
        &["insert parent 1 a=1", "insert parent 2", "update parent 3 a=1"],
        &["insert parent: 0", "insert parent: 1", "update parent: 2"],
    );
}

#[test]
fn operations_on_one_key_keep_their_order() {
    check(
        &["insert parent 1", "delete parent 1", "insert parent 1", "delete parent 2"],
        &["insert parent: 0", "delete parent: 3", "delete parent: 1", "insert parent: 2"],
    );
}

#[test]
fn neighbouring_updates_fold_if_the_result_is_the_same() {
    check(&["update parent 1 a=1", "update parent 1 a=2"], &["update parent: 0+1"]);
    check(
        &[
            "update parent 1 a=1",
            "update parent 2 a=1",
            "update parent 1 made=2",
            "update parent 1 a",
        ],
        &["update parent: 0+2+3", "update parent: 1"],
    );
    // One of them has a check, or the overwritten value could not have been stored.
    check(
        &["update parent 1 a=1", "update parent 1 rule=2", "update parent 1 a=2"],
        &["update parent: 0", "update parent: 1", "update parent: 2"],
    );
    check(
        &["update parent 1 rule=1", "update parent 1 rule=2"],
        &["update parent: 0", "update parent: 1"],
    );
    check(
        &["update parent 1 a=x", "update parent 1 a=2"],
        &["update parent: 0", "update parent: 1"],
    );
    // Another operation is between them, or a version decides.
    check(
        &["update parent 1 a=1", "upsert parent 1 a=2", "update parent 1 a=3"],
        &["update parent: 0", "upsert parent: 1", "update parent: 2"],
    );
    check(
        &["update versioned 1 v=1", "update versioned 1 v=2"],
        &["update versioned: 0", "update versioned: 1"],
    );
    check(
        &["update child 1 parent=1", "update child 1 parent=2"],
        &["update child: 0", "update child: 1"],
    );
}

#[test]
fn a_folded_update_holds_the_last_value_of_each_column() {
    let catalog = catalog();
    let writes = ["update parent 1 made=5", "update parent 1 a=1", "update parent 1 made=2 a"]
        .map(|text| write(&catalog, text));
    let steps = plan(&catalog, &writes.iter().collect::<Vec<_>>(), Folding::Neighbours);
    let change = &steps[0].changes[0];
    assert_eq!(change.group.columns, ["id", "a", "made"]);
    let cells: Vec<_> = change.cells.iter().map(Option::as_deref).collect();
    assert_eq!(cells, [Some("1"), None, Some("2")]);
}

#[test]
fn parents_are_written_before_their_children_and_deleted_after_them() {
    check(
        &["insert grandchild 1 child=1", "insert child 1 parent=1", "insert parent 1"],
        &["insert parent: 2", "insert child: 1", "insert grandchild: 0"],
    );
    check(
        &["delete parent 1", "delete child 1", "delete grandchild 1"],
        &["delete grandchild: 2", "delete child: 1", "delete parent: 0"],
    );
    check(
        &["update child 1 parent=2", "delete parent 1"],
        &["update child: 0", "delete parent: 1"],
    );
    // A row is deleted and inserted again: the child belongs to the second one.
    check(
        &["delete parent 1", "insert parent 1", "insert child 1 parent=1"],
        &["delete parent: 0", "insert parent: 1", "insert child: 2"],
    );
}

#[test]
fn deletes_of_a_table_that_refers_to_itself_share_a_step_in_their_order() {
    check(
        &["update node 2 a=1", "delete node 2", "delete node 1", "delete node 3"],
        &["update node: 0", "delete node: 1 2 3"],
    );
    check(
        &["delete node 3", "update node 2 node=4", "delete node 1"],
        &["delete node: 0", "update node: 1", "delete node: 2"],
    );
}

#[test]
fn a_reference_to_a_unique_column_is_followed_by_its_values() {
    check(
        &["insert thing 1 owner=x", "insert owner 1 code=x", "insert thing 2 owner=y"],
        &["insert owner: 1", "insert thing: 2", "insert thing: 0"],
    );
    check(
        &["insert owner 1", "update owner 1 code=x", "insert thing 1 owner=x"],
        &["insert owner: 0", "update owner: 1", "insert thing: 2"],
    );
    check(
        &["update thing 1 owner=x", "delete owner 1", "insert thing 2 owner=z"],
        &["update thing: 0", "delete owner: 1", "insert thing: 2"],
    );
    check(
        &["delete thing 1", "update owner 1 code=x", "update owner 2 a=1"],
        &["delete thing: 0", "update owner: 2", "update owner: 1"],
    );
}

#[test]
fn thousands_of_writes_that_refer_to_each_other_need_few_steps() {
    let texts: Vec<_> = (0..5_000)
        .map(|n| format!("{} node {}", if n < 2_500 { "update" } else { "delete" }, n % 2_500))
        .map(|text| if text.starts_with("update") { format!("{text} a=1") } else { text })
        .collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    assert_eq!(shown(Folding::Neighbours, &texts).len(), 6);
    // A thousand children of one parent, which is deleted again and again.
    let texts: Vec<_> = (0..10_000)
        .map(|n| match n % 2 {
            0 => format!("insert child {n} parent=1"),
            _ => "delete parent 1".to_owned(),
        })
        .collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    assert_eq!(shown(Folding::Neighbours, &texts).len(), 10_000);
}

#[test]
fn rows_that_wait_for_each_other_go_in_the_order_in_which_they_were_accepted() {
    check(
        &["insert child 1 parent=1", "delete child 1", "delete parent 1", "insert parent 1"],
        &["insert child: 0", "delete child: 1", "delete parent: 2", "insert parent: 3"],
    );
}

#[test]
fn writes_whose_keys_cannot_be_compared_keep_their_order() {
    let catalog = Catalog::new(vec![table("t", "id citext key, a integer")], Vec::new());
    let writes =
        ["update t x a=1", "update t X a=2", "update t x a=3"].map(|text| write(&catalog, text));
    let steps = plan(&catalog, &writes.iter().collect::<Vec<_>>(), Folding::Neighbours);
    assert_eq!(
        steps.iter().map(|step| step.writes().collect()).collect::<Vec<Vec<_>>>(),
        [[0], [1], [2]]
    );
}

#[test]
fn two_payloads_under_one_id_are_in_two_steps() {
    let catalog = catalog();
    let mut writes = ["insert parent 1", "insert parent 2"].map(|text| write(&catalog, text));
    writes[1].id = writes[0].id;
    let steps = plan(&catalog, &writes.iter().collect::<Vec<_>>(), Folding::Neighbours);
    assert_eq!(
        steps.iter().map(|step| step.writes().collect()).collect::<Vec<Vec<_>>>(),
        [[0], [1]]
    );
}

#[test]
fn a_long_chain_of_one_key_is_planned_without_depth() {
    let texts: Vec<_> =
        (0..20_000).map(|n| format!("{} parent 1", ["insert", "delete"][n % 2])).collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    assert_eq!(shown(Folding::Neighbours, &texts).len(), 20_000);
}

/// Generates writes of a few keys of all tables, some of them large.
fn writes() -> impl Strategy<Value = Vec<String>> {
    let table = prop::sample::select(vec![
        "parent",
        "child",
        "grandchild",
        "versioned",
        "node",
        "owner",
        "thing",
    ]);
    let operation = prop::sample::select(vec!["insert", "upsert", "update", "update", "delete"]);
    let write = (
        operation,
        table,
        0..6,
        0..6,
        0..4,
        prop_oneof![9 => 0_usize..10, 1 => 0_usize..1_500_000],
    )
        .prop_map(|(operation, table, id, other, columns, size)| {
            let column = match (table, columns) {
                (_, 0) => format!(" a={other}"),
                (_, 1) => " a".to_owned(),
                ("parent", 2) => format!(" rule={other}"),
                ("child", 2) => format!(" parent={other}"),
                ("grandchild", 2) => format!(" child={other}"),
                ("node", 2) => format!(" node={other}"),
                ("owner", 2) => format!(" code={other}"),
                ("thing", 2) => format!(" owner={other}"),
                ("versioned", _) => format!(" v={other}"),
                _ => format!(" a={}", "1".repeat(size)),
            };
            format!("{operation} {table} {id}{column}")
        });
    prop::collection::vec(write, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_write_is_in_one_step_and_in_the_order_of_its_key(
        texts in writes(),
        folds in any::<bool>(),
    ) {
        let catalog = catalog();
        let writes: Vec<_> = texts.iter().map(|text| write(&catalog, text)).collect();
        let folding = if folds { Folding::Neighbours } else { Folding::None };
        let steps = plan(&catalog, &writes.iter().collect::<Vec<_>>(), folding);
        let mut order: HashMap<(&str, &Key), Vec<usize>> = HashMap::new();
        let mut seen = Vec::new();
        for step in &steps {
            prop_assert!(!step.changes.is_empty() && step.changes.len() <= SET_ROWS_MAX);
            let bytes: usize = step.changes.iter().map(Change::size_bytes).sum();
            prop_assert!(bytes <= CALL_BYTES_MAX || step.changes.len() == 1);
            let mut keys: Vec<_> = step.changes.iter().filter_map(|change| change.key.as_ref()).collect();
            keys.sort_unstable();
            prop_assert!(keys.windows(2).all(|pair| pair[0] != pair[1]));
            for change in &step.changes {
                prop_assert_eq!(&change.group, &step.group);
                prop_assert!(folds || change.writes.len() == 1);
                for &index in &change.writes {
                    let write = &writes[index];
                    prop_assert_eq!(write.operation, step.group.operation);
                    prop_assert_eq!(&write.table, &step.group.table);
                    order.entry((&write.table, write.key.as_ref().unwrap())).or_default().push(index);
                    seen.push(index);
                }
                // The change has the effect of its writes, one after the other.
                for name in &change.group.columns {
                    let of_writes = change.writes.iter().rev().find_map(|&index| writes[index].cell(name));
                    prop_assert_eq!(of_writes, Some(change.cell(name)));
                }
            }
        }
        for indexes in order.values() {
            prop_assert!(indexes.windows(2).all(|pair| pair[0] < pair[1]), "{indexes:?}");
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..writes.len()).collect::<Vec<_>>());
    }

    #[test]
    fn no_child_is_written_before_its_parent_was(texts in writes()) {
        let catalog = catalog();
        let writes: Vec<_> = texts.iter().map(|text| write(&catalog, text)).collect();
        // If each key is inserted or deleted once, the order of keys does not contradict the order
        // of tables. (A row that is updated may have referred to any other.)
        let mut known = std::collections::HashSet::new();
        let writes: Vec<_> = writes
            .iter()
            .filter(|write| matches!(write.operation, Operation::Insert | Operation::Delete))
            .filter(|write| known.insert((write.table.clone(), write.key.clone())))
            .collect();
        let steps = plan(&catalog, &writes, Folding::Neighbours);
        let index_of: HashMap<usize, usize> = steps
            .iter()
            .enumerate()
            .flat_map(|(index, step)| step.writes().map(move |write| (write, index)))
            .collect();
        for (child_index, child) in writes.iter().enumerate() {
            for (parent_index, parent) in writes.iter().enumerate() {
                let column = match (child.table.as_str(), parent.table.as_str()) {
                    ("child", "parent") => "parent",
                    ("grandchild", "child") => "child",
                    _ => continue,
                };
                let (child_step, parent_step) = (index_of[&child_index], index_of[&parent_index]);
                let refers = child.cell(column).flatten() == parent.cell("id").flatten();
                match (child.operation, parent.operation) {
                    (Operation::Delete, Operation::Delete) => prop_assert!(child_step < parent_step),
                    (Operation::Delete, _) | (_, Operation::Delete) => {}
                    _ if refers => prop_assert!(parent_step < child_step),
                    _ => {}
                }
            }
        }
    }
}
