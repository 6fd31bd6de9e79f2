//! The plan of a delivery: which writes share a statement, and in which order statements run.
//!
//! Pure. Every write is in one step and no other; writes to one key keep the order in which they were
//! accepted; a key stands once in a step, since a statement with `ON CONFLICT` cannot touch a row a
//! second time and an update of it would take either value; likewise an id. Rows that refer to each other keep their
//! order too: a parent is written before its children and deleted after them, wherever in the delivery
//! they stand. Between other keys there is no order.

use std::collections::{BTreeMap, HashMap};

use aurora_sync_catalog::{Catalog, ForeignKey, Table};
use uuid::Uuid;

use super::{SET_ROWS_MAX, cut};
use crate::array::encoded_len;
use crate::key::Key;
use crate::parameter_set::Cells;
use crate::value;
use crate::write::{Operation, Write};

/// The writes that can share a statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Group {
    /// By [`Table::path`].
    pub table: String,
    pub operation: Operation,
    /// In the table's order.
    pub columns: Vec<String>,
}

/// What is done to one row by one statement: a write, or neighbouring updates folded into one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub group: Group,
    pub key: Option<Key>,
    /// In the order of the group's columns.
    pub cells: Cells,
    /// The places of its writes in the delivery, in order.
    pub writes: Vec<usize>,
}

/// One execution of one statement, over changes of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub group: Group,
    pub changes: Vec<Change>,
}

impl Step {
    /// The places of all its writes.
    pub fn writes(&self) -> impl Iterator<Item = usize> {
        self.changes.iter().flat_map(|change| change.writes.iter().copied())
    }
}

/// How the writes of one key are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folding {
    /// Neighbouring updates become one change where nobody can tell.
    Neighbours,
    /// Every write is a change of its own, in the order in which it was accepted.
    None,
}

/// Plans these writes, which have columns of their tables only, in the tables' order.
pub fn plan(catalog: &Catalog, writes: &[&Write], folding: Folding) -> Vec<Step> {
    let changes = changes(catalog, writes, folding);
    let levels = levels(catalog, writes, &changes);
    let mut groups: BTreeMap<usize, Vec<(Group, Vec<Change>)>> = BTreeMap::new();
    let mut place_of: HashMap<(usize, Group), usize> = HashMap::new();
    for (change, level) in changes.into_iter().zip(levels) {
        let of_level = groups.entry(level).or_default();
        let place = *place_of.entry((level, change.group.clone())).or_insert_with(|| {
            of_level.push((change.group.clone(), Vec::new()));
            of_level.len() - 1
        });
        of_level[place].1.push(change);
    }
    groups
        .into_values()
        .flatten()
        .flat_map(|(group, changes)| steps(&group, changes, folding))
        .collect()
}

/// Cuts the changes of a group into steps of bounded size.
fn steps(group: &Group, mut changes: Vec<Change>, folding: Folding) -> Vec<Step> {
    if folding == Folding::Neighbours {
        // All writers lock rows in one order. (Row by row, the first accepted is the first served.)
        changes.sort_by(|a, b| a.key.cmp(&b.key));
    }
    let cuts = cut(changes.iter().map(Change::size_bytes), SET_ROWS_MAX);
    let mut rest = changes.into_iter();
    cuts.into_iter()
        .map(|range| Step {
            group: group.clone(),
            changes: rest.by_ref().take(range.len()).collect(),
        })
        .collect()
}

impl Change {
    fn of(write: &Write, place: usize) -> Self {
        Self {
            group: Group {
                table: write.table.clone(),
                operation: write.operation,
                columns: write.row.iter().map(|(name, _)| name.clone()).collect(),
            },
            key: write.key.clone(),
            cells: write.row.iter().map(|(_, value)| value.clone()).collect(),
            writes: vec![place],
        }
    }

    /// The bytes that the change adds to a request: an id, a time, a fingerprint and the key a write.
    fn size_bytes(&self) -> usize {
        const UUID_TIME_FINGERPRINT: usize = 37 + 14 + 33;
        let key = self.key.as_ref().map(ToString::to_string);
        let of_a_write = UUID_TIME_FINGERPRINT + encoded_len(key.as_deref());
        let cells: usize = self.cells.iter().map(|cell| encoded_len(cell.as_deref())).sum();
        cells + self.writes.len() * of_a_write
    }

    fn cell(&self, column: &str) -> Option<&str> {
        let place = self.group.columns.iter().position(|name| name == column)?;
        self.cells[place].as_deref()
    }
}

/// The changes of a delivery, in order; a folded one stands where the first of its writes stood.
fn changes(catalog: &Catalog, writes: &[&Write], folding: Folding) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::with_capacity(writes.len());
    // The last change of each key, where another update may fold into it.
    let mut last: HashMap<(&str, &Key), usize> = HashMap::new();
    for (place, write) in writes.iter().enumerate() {
        let may_fold = |key: &&Key| folding == Folding::Neighbours && key.is_comparable();
        let Some(key) = write.key.as_ref().filter(may_fold) else {
            changes.push(Change::of(write, place));
            continue;
        };
        let table = catalog.table(&write.table);
        let earlier = last.get(&(write.table.as_str(), key)).copied();
        if let (Some(table), Some(earlier)) = (table, earlier)
            && folds(table, writes[changes[earlier].writes[0]], &changes[earlier], write)
        {
            fold(table, &mut changes[earlier], write, place);
            continue;
        }
        last.insert((write.table.as_str(), key), changes.len());
        changes.push(Change::of(write, place));
    }
    changes
}

/// Whether nobody can tell that an update and the one after it are done at once.
///
/// A value that is overwritten is never seen by the database: so it must be certain that the database
/// would have taken it, and that nothing but the column would have changed by it.
fn folds(table: &Table, first: &Write, earlier: &Change, later: &Write) -> bool {
    let is_plain =
        |write: &Write| write.operation == Operation::Update && write.fingerprint.is_none();
    if !is_plain(first) || !is_plain(later) || table.version_column.is_some() {
        return false;
    }
    later.row.iter().all(|(name, _)| {
        let Some(column) = table.column(name) else { return false };
        let is_reference = table.foreign_keys.iter().any(|key| key.columns.contains(name));
        if is_reference {
            return false;
        }
        if table.is_key(column) || !earlier.group.columns.contains(name) {
            return true;
        }
        !column.has_rules
            && match earlier.cell(name) {
                None => column.nullable,
                Some(text) => value::is_certain(column, text),
            }
    })
}

fn fold(table: &Table, change: &mut Change, write: &Write, place: usize) {
    let mut cells = Vec::with_capacity(table.columns.len());
    let mut columns = Vec::with_capacity(table.columns.len());
    for column in &table.columns {
        let own = change.group.columns.iter().position(|name| *name == column.name);
        let cell = match write.cell(&column.name) {
            Some(cell) => Some(cell.map(str::to_owned)),
            None => own.map(|own| change.cells[own].take()),
        };
        if let Some(cell) = cell {
            columns.push(column.name.clone());
            cells.push(cell);
        }
    }
    change.group.columns = columns;
    change.cells = cells;
    change.writes.push(place);
}

/// The level of each change: it runs after all changes of lower levels.
fn levels(catalog: &Catalog, writes: &[&Write], changes: &[Change]) -> Vec<usize> {
    let mut graph = Graph::new(changes.len());
    // Two payloads under one Idempotency-Key: the second must find the first in the ledger.
    let mut by_id: HashMap<Uuid, usize> = HashMap::new();
    for (place, change) in changes.iter().enumerate() {
        for &write in &change.writes {
            if let Some(earlier) = by_id.insert(writes[write].id, place) {
                graph.after(place, earlier);
            }
        }
    }
    let by_key = by_key(changes);
    for places in by_key.values().chain(incomparable(changes).values()) {
        for pair in places.windows(2) {
            graph.after(pair[1], pair[0]);
        }
    }
    for child in catalog.tables() {
        for foreign_key in &child.foreign_keys {
            if let Some(parent) = catalog.table(&foreign_key.parent) {
                Reference { child, parent, foreign_key }.order(changes, &by_key, &mut graph);
            }
        }
    }
    graph.levels()
}

/// The places of the changes of each row.
fn by_key(changes: &[Change]) -> HashMap<(&str, &Key), Vec<usize>> {
    let mut places: HashMap<(&str, &Key), Vec<usize>> = HashMap::new();
    for (place, change) in changes.iter().enumerate() {
        if let Some(key) = &change.key {
            places.entry((change.group.table.as_str(), key)).or_default().push(place);
        }
    }
    places
}

/// The places of the changes of each table whose keys cannot be told apart: any may be of one row.
fn incomparable(changes: &[Change]) -> HashMap<&str, Vec<usize>> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, change) in changes.iter().enumerate() {
        if change.key.as_ref().is_some_and(|key| !key.is_comparable()) {
            places.entry(&change.group.table).or_default().push(place);
        }
    }
    places
}

/// One foreign key between two tables of the catalog.
#[derive(Debug, Clone, Copy)]
struct Reference<'a> {
    child: &'a Table,
    parent: &'a Table,
    foreign_key: &'a ForeignKey,
}

impl Reference<'_> {
    /// Adds the order between changes of the two tables.
    fn order(
        &self,
        changes: &[Change],
        by_key: &HashMap<(&str, &Key), Vec<usize>>,
        graph: &mut Graph,
    ) {
        let of = |table: &Table| {
            let path = table.path();
            let places = changes.iter().enumerate();
            places
                .filter(|(_, change)| change.group.table == path)
                .map(|(place, _)| place)
                .collect()
        };
        let (children, parents): (Vec<usize>, Vec<usize>) = (of(self.child), of(self.parent));
        if children.is_empty() || parents.is_empty() {
            return;
        }
        let parent_path = self.parent.path();
        let is_delete = |place: usize| changes[place].group.operation == Operation::Delete;
        for &child in children.iter().filter(|&&child| !is_delete(child)) {
            let Some(key) = self.parent_key(&changes[child]) else { continue };
            let Some(places) = by_key.get(&(parent_path.as_str(), &key)) else { continue };
            let earlier = places.iter().rev().find(|&&parent| parent < child);
            // A parent that comes later in the delivery is put first: without it the child has no chance.
            let later = places.iter().find(|&&parent| parent > child && !is_delete(parent));
            if let Some(&parent) = earlier.or(later) {
                graph.after(child, parent);
            }
            for &parent in places.iter().filter(|&&parent| parent > child && is_delete(parent)) {
                graph.after(parent, child);
            }
        }
        self.order_deletes(changes, &children, &parents, graph);
    }

    /// A parent is deleted after all deletes of children, since these do not say whom their rows refer to,
    /// and after the earlier changes that may have let a child go.
    fn order_deletes(
        &self,
        changes: &[Change],
        children: &[usize],
        parents: &[usize],
        graph: &mut Graph,
    ) {
        let is_delete = |place: usize| changes[place].group.operation == Operation::Delete;
        let moves = |place: usize| {
            let Group { operation, columns, .. } = &changes[place].group;
            !matches!(operation, Operation::Delete | Operation::Insert)
                && self.foreign_key.columns.iter().any(|name| columns.contains(name))
        };
        let deleted = graph.gate(children.iter().copied().filter(|&child| is_delete(child)));
        let mut moved = graph.gate(std::iter::empty());
        let mut waiting = children.iter().copied().filter(|&child| moves(child)).peekable();
        for &parent in parents.iter().filter(|&&parent| is_delete(parent)) {
            let earlier: Vec<_> =
                std::iter::from_fn(|| waiting.next_if(|&child| child < parent)).collect();
            if !earlier.is_empty() {
                moved = graph.gate(earlier.into_iter().chain([moved]));
            }
            graph.after(parent, deleted);
            graph.after(parent, moved);
        }
    }

    /// The key of the parent that a change of a child names, where the reference is to a primary key.
    fn parent_key(&self, change: &Change) -> Option<Key> {
        Key::of_row(self.parent, |name| {
            let place = self.foreign_key.parent_columns.iter().position(|column| column == name)?;
            change.cell(&self.foreign_key.columns[place])
        })
    }
}

/// What must come after what: changes, and gates that stand for many of them.
#[derive(Debug)]
struct Graph {
    followers: Vec<Vec<usize>>,
    open: Vec<usize>,
    changes: usize,
}

impl Graph {
    fn new(changes: usize) -> Self {
        Self { followers: vec![Vec::new(); changes], open: vec![0; changes], changes }
    }

    fn after(&mut self, later: usize, earlier: usize) {
        if later != earlier {
            self.followers[earlier].push(later);
            self.open[later] += 1;
        }
    }

    /// A node that comes after all of these, and is nothing itself.
    fn gate(&mut self, nodes: impl Iterator<Item = usize>) -> usize {
        let gate = self.followers.len();
        self.followers.push(Vec::new());
        self.open.push(0);
        for node in nodes {
            self.after(gate, node);
        }
        gate
    }

    /// The longest way to each change. Where they wait for each other in a circle, the first accepted
    /// goes first: every change follows those of its own key, which are accepted earlier.
    fn levels(mut self) -> Vec<usize> {
        let nodes = self.followers.len();
        let mut levels = vec![0; nodes];
        let mut is_done = vec![false; nodes];
        let mut ready: Vec<usize> = (0..nodes).filter(|&node| self.open[node] == 0).collect();
        let mut first_open = 0;
        loop {
            let node = match ready.pop() {
                Some(node) => node,
                None => {
                    while first_open < nodes && is_done[first_open] {
                        first_open += 1;
                    }
                    if first_open == nodes {
                        break;
                    }
                    first_open
                }
            };
            if std::mem::replace(&mut is_done[node], true) {
                continue;
            }
            for follower in std::mem::take(&mut self.followers[node]) {
                if !is_done[follower] {
                    let after = levels[node] + usize::from(node < self.changes);
                    levels[follower] = levels[follower].max(after);
                    self.open[follower] -= 1;
                    if self.open[follower] == 0 {
                        ready.push(follower);
                    }
                }
            }
        }
        levels.truncate(self.changes);
        levels
    }
}

#[cfg(test)]
mod tests;
