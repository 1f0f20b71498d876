"""From people's answers to an affine map: VICE, teachers, and objects held out."""
