//! How far a file has come, for a person who stops waiting for it.
//!
//! Pure.

/// The stage of a file on its way into its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing has left this machine.
    Checked,
    /// A part of the file is uploaded.
    Uploading { can_resume: bool },
    /// The file is uploaded, and its import has not begun.
    Uploaded { table: String },
    /// The import with this id is under way.
    Begun { id: String },
    /// The import with this id has ended.
    Ended { id: String },
}

impl Stage {
    /// Returns what remains if the command ends now, and the commands that help.
    pub(crate) fn rest(&self) -> String {
        match self {
            Self::Checked => "nothing was uploaded".to_owned(),
            Self::Uploading { can_resume: true } => {
                "a part of the file is uploaded; the same command uploads the rest".to_owned()
            }
            Self::Uploading { can_resume: false } => {
                "the file is not uploaded, and nothing is imported".to_owned()
            }
            Self::Uploaded { table } => format!(
                "the file is uploaded, and its import begins by itself; to find it: \
                 aurora-sync imports list --table {table}"
            ),
            Self::Begun { id } => format!(
                "import {id} goes on by itself; to follow it: aurora-sync imports show {id}; \
                 to end it: aurora-sync imports cancel {id}"
            ),
            Self::Ended { id } => {
                format!("import {id} has ended; to see its rows: aurora-sync imports show {id}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_on_before_the_file_is_uploaded() {
        let uploading = |can_resume| Stage::Uploading { can_resume }.rest();
        for rest in [Stage::Checked.rest(), uploading(true), uploading(false)] {
            assert!(!rest.contains("by itself"), "{rest}");
        }
        assert!(uploading(true).ends_with("the same command uploads the rest"));
    }

    #[test]
    fn an_import_that_goes_on_is_named_with_the_commands_for_it() {
        let rest = Stage::Begun { id: "7".into() }.rest();
        assert_eq!(
            rest,
            "import 7 goes on by itself; to follow it: aurora-sync imports show 7; \
             to end it: aurora-sync imports cancel 7"
        );
    }
}
