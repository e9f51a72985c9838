//! Forms that are recognised and left as they are.

use vmtune::boot::{self, BootError, Form};

use crate::{refused, set};

#[test]
fn each_says_why() {
    for (form, why) in [
        (Form::Menu, "it is generated"),
        (Form::Extlinux, "each label"),
        (Form::GrubLegacy, "each title"),
        (Form::Zipl, "each section"),
        (Form::Lilo, "each image"),
    ] {
        let text = "append=\"quiet\"\n";
        let error = refused(form, text);
        assert!(error.contains("is left alone: "), "{error}");
        assert!(error.contains(why), "{error}");
        assert!(boot::arguments(form, text).is_err());
        let none = boot::edit(form, None, &[set("a", "1")]);
        assert!(matches!(none, Err(BootError::Declined { .. })), "{none:?}");
    }
}
