//! The plan of a delivery: the writes of each statement, and the order of the statements.
//!
//! Pure. Each write is in exactly one step. Writes to one key keep the order in which they were
//! accepted. A key is in a step at most once: a statement with `ON CONFLICT` cannot touch a row a
//! second time, and an update would take either value. The same holds for an id. A parent is
//! written before its children and deleted after them, whatever their order in the delivery. Other
//! keys have no order.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use aurora_sync_catalog::{Catalog, ForeignKey, Table};
use uuid::Uuid;

use super::{SET_ROWS_MAX, cut};
use crate::database::parameter_set::Cells;
use crate::domain::key::Key;
use crate::domain::value;
use crate::domain::value::array_literal::encoded_len;
use crate::domain::write::{Operation, Precondition, Write};

/// The common properties of writes that can share a statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Group {
    /// The table's [`Table::path`].
    pub table: String,
    pub operation: Operation,
    /// The names of the columns, in the table's order.
    pub columns: Vec<String>,
    /// The header of the preconditions, if the writes have any.
    pub precondition: Option<&'static str>,
    /// The claims of the caller, by which row policies decide on the whole step.
    pub claims: Option<Arc<str>>,
}

/// A change of one row by one statement: a write, or neighbouring updates that are folded into one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub group: Group,
    pub key: Option<Key>,
    /// The values, in the order of the group's columns.
    pub cells: Cells,
    /// The precondition of its write. Such a write is a change of its own.
    pub precondition: Option<Precondition>,
    /// The indexes of its writes in the delivery, in order.
    pub writes: Vec<usize>,
}

/// One execution of one statement, over changes of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub group: Group,
    pub changes: Vec<Change>,
}

impl Step {
    /// Returns the indexes of all its writes in the delivery.
    pub fn writes(&self) -> impl Iterator<Item = usize> {
        self.changes.iter().flat_map(|change| change.writes.iter().copied())
    }
}

/// The rule for writes of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folding {
    /// Neighbouring updates become one change if the result is the same.
    Neighbours,
    /// Each write is a change of its own, in the order in which it was accepted.
    None,
}

/// Plans these writes, and returns the steps in the order in which they run.
///
/// The columns of each write must be columns of its table, in the table's order.
pub fn plan(catalog: &Catalog, writes: &[&Write], folding: Folding) -> Vec<Step> {
    let changes = changes(catalog, writes, folding);
    let levels = levels(catalog, writes, &changes);
    let mut groups: BTreeMap<usize, Vec<(Group, Vec<Change>)>> = BTreeMap::new();
    let mut index_of: HashMap<(usize, Group), usize> = HashMap::new();
    for (change, level) in changes.into_iter().zip(levels) {
        let of_level = groups.entry(level).or_default();
        let index = *index_of.entry((level, change.group.clone())).or_insert_with(|| {
            of_level.push((change.group.clone(), Vec::new()));
            of_level.len() - 1
        });
        of_level[index].1.push(change);
    }
    groups
        .into_values()
        .flatten()
        .flat_map(|(group, changes)| {
            // All writers lock rows in one order. Without folding, writes are tried one by one, in
            // the order in which they were accepted. Deletes of a table that refers to itself keep
            // their order, as sorting could put a child into a later step than its parent.
            let is_sorted = folding == Folding::Neighbours
                && !(group.operation == Operation::Delete
                    && catalog.table(&group.table).is_some_and(Table::references_itself));
            steps(&group, changes, is_sorted)
        })
        .collect()
}

/// Cuts the changes of a group into steps of bounded size.
fn steps(group: &Group, mut changes: Vec<Change>, is_sorted: bool) -> Vec<Step> {
    if is_sorted {
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
    fn of(write: &Write, index: usize) -> Self {
        Self {
            group: Group {
                table: write.table.clone(),
                operation: write.operation,
                columns: write.row.iter().map(|(name, _)| name.clone()).collect(),
                precondition: write.precondition.as_ref().map(Precondition::header),
                claims: write.caller.claims.clone(),
            },
            precondition: write.precondition.clone(),
            key: write.key.clone(),
            cells: write.row.iter().map(|(_, value)| value.clone()).collect(),
            writes: vec![index],
        }
    }

    /// Returns the bytes that the change adds to a request: its cells, and for each write an id, a
    /// time, a fingerprint, the key and the caller.
    fn size_bytes(&self) -> usize {
        // The principal is about as long as an ARN. It counts roughly: a call is measured again.
        const UUID_TIME_FINGERPRINT: usize = 37 + 14 + 33 + PRINCIPAL;
        const PRINCIPAL: usize = 100;
        let key = self.key.as_ref().map(ToString::to_string);
        let of_a_write = UUID_TIME_FINGERPRINT + encoded_len(key.as_deref());
        let cells: usize = self.cells.iter().map(|cell| encoded_len(cell.as_deref())).sum();
        let precondition = self.precondition.as_ref();
        precondition.map_or(0, |precondition| encoded_len(Some(precondition.value())))
            + cells
            + self.writes.len() * of_a_write
    }

    fn cell(&self, column: &str) -> Option<&str> {
        let index = self.group.columns.iter().position(|name| name == column)?;
        self.cells[index].as_deref()
    }
}

/// Returns the changes of a delivery, in order. A folded change has the position of its first
/// write.
fn changes(catalog: &Catalog, writes: &[&Write], folding: Folding) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::with_capacity(writes.len());
    // The last change of each key, into which another update may fold.
    let mut last: HashMap<(&str, &Key), usize> = HashMap::new();
    for (index, write) in writes.iter().enumerate() {
        let may_fold = |key: &&Key| folding == Folding::Neighbours && key.is_comparable();
        let Some(key) = write.key.as_ref().filter(may_fold) else {
            changes.push(Change::of(write, index));
            continue;
        };
        let table = catalog.table(&write.table);
        let earlier = last.get(&(write.table.as_str(), key)).copied();
        if let (Some(table), Some(earlier)) = (table, earlier)
            && folds(table, writes[changes[earlier].writes[0]], &changes[earlier], write)
        {
            fold(table, &mut changes[earlier], write, index);
            continue;
        }
        last.insert((write.table.as_str(), key), changes.len());
        changes.push(Change::of(write, index));
    }
    changes
}

/// Returns `true` if two updates of a row can be one change with the same result.
///
/// The database does not see the value that is overwritten. So it must be certain that the database
/// would have accepted it, and that it would have changed nothing but its column. A rule, such as a
/// check, can compare any two columns, so no column of either update may have one.
fn folds(table: &Table, first: &Write, earlier: &Change, later: &Write) -> bool {
    let is_plain = |write: &Write| {
        write.operation == Operation::Update
            && write.fingerprint.is_none()
            && write.precondition.is_none()
    };
    if !is_plain(first)
        || !is_plain(later)
        || table.version_column.is_some()
        || table.has_row_logic
        || first.caller.claims != later.caller.claims
    {
        return false;
    }
    let is_free = |name: &String| {
        table.column(name).is_some_and(|column| table.is_key(column) || !column.has_rules)
    };
    let is_taken = |name: &String| {
        table.column(name).is_some_and(|column| {
            table.is_key(column)
                || !earlier.group.columns.contains(name)
                || match earlier.cell(name) {
                    None => column.nullable,
                    Some(text) => value::is_certain(column, text),
                }
        })
    };
    earlier.group.columns.iter().all(is_free)
        && later.row.iter().all(|(name, _)| is_free(name) && is_taken(name))
}

/// Adds an update to the change of the one before it.
fn fold(table: &Table, change: &mut Change, write: &Write, index: usize) {
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
    change.writes.push(index);
}

/// Returns the level of each change. A change runs after all changes of lower levels.
fn levels(catalog: &Catalog, writes: &[&Write], changes: &[Change]) -> Vec<usize> {
    let mut graph = Graph::new(changes.len());
    // Of two payloads under one Idempotency-Key, the second must find the first in the ledger.
    let mut by_id: HashMap<Uuid, usize> = HashMap::new();
    for (index, change) in changes.iter().enumerate() {
        for &write in &change.writes {
            if let Some(earlier) = by_id.insert(writes[write].id, index) {
                graph.after(index, earlier);
            }
        }
    }
    let by_key = by_key(changes);
    for indexes in by_key.values().chain(incomparable(changes).values()) {
        for pair in indexes.windows(2) {
            graph.after(pair[1], pair[0]);
        }
    }
    for child in catalog.tables() {
        for foreign_key in &child.foreign_keys {
            if let Some(parent) = catalog.table(&foreign_key.parent) {
                let reference = Reference { child, parent, foreign_key };
                reference.order(catalog, changes, &by_key, &mut graph);
            }
        }
    }
    graph.levels(changes)
}

/// Returns the indexes of the changes of each row.
fn by_key(changes: &[Change]) -> HashMap<(&str, &Key), Vec<usize>> {
    let mut indexes: HashMap<(&str, &Key), Vec<usize>> = HashMap::new();
    for (index, change) in changes.iter().enumerate() {
        if let Some(key) = &change.key {
            indexes.entry((change.group.table.as_str(), key)).or_default().push(index);
        }
    }
    indexes
}

/// Returns the indexes of the changes whose keys only the database can compare, for each table. Any
/// of them may be of the same row.
fn incomparable(changes: &[Change]) -> HashMap<&str, Vec<usize>> {
    let mut indexes: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, change) in changes.iter().enumerate() {
        if change.key.as_ref().is_some_and(|key| !key.is_comparable()) {
            indexes.entry(&change.group.table).or_default().push(index);
        }
    }
    indexes
}

/// One foreign key between two tables of the catalog.
#[derive(Debug, Clone, Copy)]
struct Reference<'a> {
    child: &'a Table,
    parent: &'a Table,
    foreign_key: &'a ForeignKey,
}

impl Reference<'_> {
    /// Adds the order between changes of the child's table and changes of the parent's.
    fn order(
        &self,
        catalog: &Catalog,
        changes: &[Change],
        by_key: &HashMap<(&str, &Key), Vec<usize>>,
        graph: &mut Graph,
    ) {
        let of = |table: &Table| {
            let path = table.path();
            let indexes = changes.iter().enumerate();
            indexes
                .filter(|(_, change)| change.group.table == path)
                .map(|(index, _)| index)
                .collect()
        };
        let (children, parents): (Vec<usize>, Vec<usize>) = (of(self.child), of(self.parent));
        if children.is_empty() || parents.is_empty() {
            return;
        }
        self.order_by_values(changes, by_key, &children, &parents, graph);
        self.order_releases(catalog, changes, &children, graph);
    }

    /// Puts a child after the change that makes its parent, and before the delete of that parent.
    fn order_by_values(
        &self,
        changes: &[Change],
        by_key: &HashMap<(&str, &Key), Vec<usize>>,
        children: &[usize],
        parents: &[usize],
        graph: &mut Graph,
    ) {
        // If the reference is to other columns than the key: the changes that set these columns.
        let mut by_value: HashMap<Key, Vec<usize>> = HashMap::new();
        if !self.is_to_key() {
            let names = &self.foreign_key.parent_columns;
            for &parent in parents {
                let change = &changes[parent];
                let value = Key::of_columns(self.parent, names, |name| change.cell(name));
                if let Some(value) = value.filter(|_| !is_delete(change)) {
                    by_value.entry(value).or_default().push(parent);
                }
            }
        }
        let parent_path = self.parent.path();
        for &child in children.iter().filter(|&&child| !is_delete(&changes[child])) {
            let Some(value) = self.named_by(&changes[child]) else { continue };
            let indexes = if self.is_to_key() {
                by_key.get(&(parent_path.as_str(), &value))
            } else {
                by_value.get(&value)
            };
            let Some(indexes) = indexes else { continue };
            let next = indexes.partition_point(|&parent| parent < child);
            // A parent that comes later in the delivery is put first, as the child is refused
            // without it. This is not done if the change also releases another value: it must then
            // wait for the children of that value.
            let is_new = |&&parent: &&usize| parent > child && !self.releases(&changes[parent]);
            if let Some(&parent) =
                indexes[..next].last().or_else(|| indexes[next..].iter().find(is_new))
            {
                graph.after(child, parent);
            }
            // Only the first delete needs an order: later changes of its key follow it.
            let is_deleted = |&&parent: &&usize| parent > child && is_delete(&changes[parent]);
            if let Some(&parent) = indexes[next..].iter().find(is_deleted) {
                graph.after(parent, child);
            }
        }
    }

    /// Puts the delete of a parent after the changes that may free it of children.
    ///
    /// These are the earlier updates of children and all their deletes, since a delete does not say
    /// to which parent its row refers. If tables refer to each other in a cycle, only the earlier
    /// deletes count: not every delete can come after all others.
    fn order_releases(
        &self,
        catalog: &Catalog,
        changes: &[Change],
        children: &[usize],
        graph: &mut Graph,
    ) {
        let deleted = if reaches(catalog, self.parent, self.child) {
            graph.gate(std::iter::empty())
        } else {
            graph.gate(children.iter().copied().filter(|&child| is_delete(&changes[child])))
        };
        // One statement can delete rows of one table in any order, so a chain of them needs no
        // further levels.
        let is_own = self.is_to_key() && self.parent.path() == self.child.path();
        let (mut moved, mut released) = (Gate::default(), Gate::default());
        for (index, change) in changes.iter().enumerate() {
            let releases = self.releases(change);
            if releases {
                if is_delete(change) {
                    graph.after(index, deleted);
                }
                moved.before(index, graph);
            }
            if self.moves(change) {
                // A delete names its row by the key. If the reference is to other columns, the
                // released value is not known, and the change waits for all earlier releases.
                if !self.is_to_key() && !is_delete(change) {
                    released.before(index, graph);
                }
                moved.add(index, usize::from(!(is_own && is_delete(change))));
            }
            if releases {
                released.add(index, 1);
            }
        }
    }

    /// Returns `true` if the reference is to the primary key, which each change of a parent names.
    fn is_to_key(&self) -> bool {
        let named = &self.foreign_key.parent_columns;
        !self.parent.primary_key.is_empty()
            && self.parent.primary_key.iter().all(|name| named.contains(name))
    }

    /// Returns `true` if the change may remove the values of a parent to which a child refers.
    fn releases(&self, change: &Change) -> bool {
        let Group { table, operation, columns, .. } = &change.group;
        let is_other = |name: &String| !self.parent.primary_key.contains(name);
        let mut others = self.foreign_key.parent_columns.iter().filter(|name| is_other(name));
        *table == self.parent.path()
            && match operation {
                Operation::Delete => true,
                Operation::Insert | Operation::InsertIgnore => false,
                Operation::Upsert | Operation::Update => others.any(|name| columns.contains(name)),
            }
    }

    /// Returns `true` if the change may end a child's reference to a parent, or begin one to a
    /// parent whose key is not known.
    fn moves(&self, change: &Change) -> bool {
        let Group { table, operation, columns, .. } = &change.group;
        let names_one = || self.foreign_key.columns.iter().any(|name| columns.contains(name));
        *table == self.child.path()
            && match operation {
                Operation::Delete => true,
                Operation::Insert | Operation::InsertIgnore => !self.is_to_key() && names_one(),
                Operation::Upsert | Operation::Update => names_one(),
            }
    }

    /// Returns the key of the parent that a change of a child names, or, if the reference is to
    /// other columns, the values of these columns.
    fn named_by(&self, change: &Change) -> Option<Key> {
        let names = &self.foreign_key.parent_columns;
        let key = if self.is_to_key() { &self.parent.primary_key } else { names };
        Key::of_columns(self.parent, key, |name| {
            let index = names.iter().position(|column| column == name)?;
            change.cell(&self.foreign_key.columns[index])
        })
    }
}

fn is_delete(change: &Change) -> bool {
    change.group.operation == Operation::Delete
}

/// Returns `true` if a table refers to another one, directly or through other tables.
fn reaches(catalog: &Catalog, from: &Table, to: &Table) -> bool {
    let target = to.path();
    let mut seen = vec![from.path()];
    let mut next = 0;
    while let Some(path) = seen.get(next) {
        if *path == target {
            return true;
        }
        let keys = catalog.table(path).map_or(&[][..], |table| &table.foreign_keys);
        let new: Vec<_> =
            keys.iter().map(|key| key.parent.clone()).filter(|path| !seen.contains(path)).collect();
        seen.extend(new);
        next += 1;
    }
    false
}

/// A point in the order of changes, which is met one change after the other: the changes that were
/// added come before the changes that ask for it.
#[derive(Debug, Default)]
struct Gate {
    node: Option<usize>,
    waiting: Vec<(usize, usize)>,
}

impl Gate {
    /// Adds a change, and the number of levels between it and the changes after it.
    fn add(&mut self, index: usize, levels: usize) {
        self.waiting.push((index, levels));
    }

    /// Puts all changes that were added before this one.
    fn before(&mut self, index: usize, graph: &mut Graph) {
        if !self.waiting.is_empty() {
            let gate = graph.gate(self.node.into_iter());
            for (earlier, levels) in self.waiting.drain(..) {
                graph.after_levels(gate, earlier, levels);
            }
            self.node = Some(gate);
        }
        if let Some(gate) = self.node {
            graph.after(index, gate);
        }
    }
}

/// The order of changes. Its nodes are the changes and, behind them, gates: a gate stands for many
/// changes, so that n changes after m others need n + m edges and not n × m.
#[derive(Debug)]
struct Graph {
    /// The nodes after each node, with the number of levels between.
    followers: Vec<Vec<(usize, usize)>>,
    /// The number of nodes before each node that have no level yet.
    open: Vec<usize>,
    /// The number of nodes that are changes.
    changes: usize,
}

impl Graph {
    fn new(changes: usize) -> Self {
        Self { followers: vec![Vec::new(); changes], open: vec![0; changes], changes }
    }

    /// Puts a node after another one: one level after it if that is a change.
    fn after(&mut self, later: usize, earlier: usize) {
        self.after_levels(later, earlier, usize::from(earlier < self.changes));
    }

    /// Puts a node after another one by this number of levels: 0 if one step may hold both.
    fn after_levels(&mut self, later: usize, earlier: usize, levels: usize) {
        if later != earlier {
            self.followers[earlier].push((later, levels));
            self.open[later] += 1;
        }
    }

    /// Adds a gate after all these nodes, and returns it.
    fn gate(&mut self, nodes: impl Iterator<Item = usize>) -> usize {
        let gate = self.followers.len();
        self.followers.push(Vec::new());
        self.open.push(0);
        for node in nodes {
            self.after(gate, node);
        }
        gate
    }

    /// Returns the level of each change: the length of the longest path to it.
    ///
    /// Changes that wait for each other in a cycle share a level if they can share a step, since
    /// rows that refer to each other must be written together. Otherwise the change that was
    /// accepted first goes first.
    fn levels(mut self, changes: &[Change]) -> Vec<usize> {
        let nodes = self.followers.len();
        let mut levels = vec![0; nodes];
        let mut is_done = vec![false; nodes];
        let mut ready: Vec<usize> = (0..nodes).filter(|&node| self.open[node] == 0).collect();
        let mut first_open = 0;
        loop {
            let together = match ready.pop() {
                Some(node) => vec![node],
                None => {
                    while first_open < nodes && is_done[first_open] {
                        first_open += 1;
                    }
                    if first_open == nodes {
                        break;
                    }
                    self.cycle(first_open, &is_done, changes)
                }
            };
            let level = together.iter().map(|&node| levels[node]).max().unwrap_or_default();
            let together: Vec<_> = together
                .into_iter()
                .filter(|&node| !std::mem::replace(&mut is_done[node], true))
                .collect();
            for node in together {
                levels[node] = level;
                for (follower, between) in std::mem::take(&mut self.followers[node]) {
                    if !is_done[follower] {
                        levels[follower] = levels[follower].max(level + between);
                        self.open[follower] -= 1;
                        if self.open[follower] == 0 {
                            ready.push(follower);
                        }
                    }
                }
            }
        }
        levels.truncate(self.changes);
        levels
    }

    /// Returns the changes that go next if all nodes wait: those of a cycle before this node that
    /// waits for nothing else or, if they cannot share a step, the first of them.
    fn cycle(&self, node: usize, is_done: &[bool], changes: &[Change]) -> Vec<usize> {
        let is_open = |node: &usize| !is_done[*node];
        let mut before: HashMap<usize, Vec<usize>> = HashMap::new();
        for (earlier, followers) in self.followers.iter().enumerate().filter(|(n, _)| is_open(n)) {
            for (follower, _) in followers {
                before.entry(*follower).or_default().push(earlier);
            }
        }
        let reached = |from: usize, next: &dyn Fn(usize) -> Vec<usize>| {
            let mut seen = BTreeSet::from([from]);
            let mut waiting = vec![from];
            while let Some(node) = waiting.pop() {
                waiting.extend(next(node).into_iter().filter(|node| seen.insert(*node)));
            }
            seen
        };
        let earlier = |node: usize| before.get(&node).cloned().unwrap_or_default();
        let later = |node: usize| {
            let followers = self.followers[node].iter().map(|(follower, _)| *follower);
            followers.filter(is_open).collect()
        };
        let mut node = node;
        let cycle = loop {
            let cycle = reached(node, &earlier);
            let after = reached(node, &later);
            match cycle.difference(&after).next() {
                // The cycle waits for this node, which does not wait for the cycle.
                Some(other) => node = *other,
                None => break cycle,
            }
        };
        let mut keys = HashSet::new();
        let mut groups = HashSet::new();
        let can_share_a_step = cycle.iter().all(|&node| {
            changes.get(node).is_some_and(|change| {
                groups.insert(&change.group);
                groups.len() == 1 && change.key.is_some() && keys.insert(&change.key)
            })
        });
        let first = *cycle.first().unwrap_or(&node);
        if can_share_a_step { cycle.into_iter().collect() } else { vec![first] }
    }
}

#[cfg(test)]
mod tests;
