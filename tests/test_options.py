"""What `pytest --of` understands."""

import options
import pytest

KNOWN = ["career", "index", "models/cnn", "models/cnn_layers", "models/overview"]


@pytest.mark.parametrize(("given", "name"), [
    ("models/cnn", "models/cnn"), ("career", "career"), ("docs/en/models/cnn.md", "models/cnn"), ("./docs/zh/career.md", "career"),
    ("snippets/models/cnn_layers.py", "models/cnn_layers"), ("tests/models/test_cnn.py", "models/cnn"), ("docs/results/models/cnn/loss.svg", "models/cnn"),
    ("docs/results/models/cnn/", "models/cnn"), ("docs/assets/live/models/cnn.js", "models/cnn"), ("tooling/live/models/cnn.py", "models/cnn"),
    (str(options.ROOT / "docs" / "en" / "models" / "cnn.md"), "models/cnn"), ("models/cnn.py", "models/cnn"),
])
def test_any_file_of_a_lesson_names_it(given, name):
    assert options.named(given, KNOWN) == name


@pytest.mark.parametrize(("given", "said"), [
    ("models/cn", "there is no lesson or page models/cn; did you mean models/cnn?"),
    ("docs/en/models/overvew.md", "there is no lesson or page models/overvew; did you mean models/overview?"),
    ("xyz", "there is no lesson or page xyz; there are: career, index, models/cnn, models/cnn_layers, models/overview"),
])
def test_an_unknown_name_gets_the_nearest(given, said):
    with pytest.raises(ValueError) as error:
        options.named(given, KNOWN)
    assert str(error.value) == said
