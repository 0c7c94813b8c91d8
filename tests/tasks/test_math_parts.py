# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""The way of an answer to mathematics, step by step: found, normalized, taken apart, compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_resrl.tasks.math_answer import balanced, find_answer, find_boxes
from verl_resrl.tasks.math_notation import RULES, normalized
from verl_resrl.tasks.math_reading import read
from verl_resrl.tasks.math_value import same_value
from verl_resrl.tasks.math_words import choice, chosen, split_unit

# -- where the answer is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "text"),
    [
        (r"first \boxed{1}, then \boxed{2}", "2"),
        ("\\boxed{3} in step 1.\nAnswer: 34", "34"),
        ("Answer: 3\nAnswer: 34", "34"),
        ("Answer: 3\nso \\boxed{34}", "34"),
        (r"\boxed{34} and then \boxed{\frac{1", "34"),
        (r"\boxed{\frac{1}{2}", r"\frac{1}{2}"),
        (r"\boxed 34 is it", "34"),
        (r"\boxed{34}. I put it in \boxed as asked.", "34"),
        (r"\boxed{34}. I hope that the answer is correct.", "34"),
        (r"\boxed{\boxed{5}}", r"\boxed{5}"),
        ("**Final Answer**\n\n\\[\n34\n\\]\n", "34"),
        ("Answer: The largest n is 34. I hope it is correct.", "34"),
        ("<answer>1</answer> no, <answer> 2 </answer>", "2"),
        ("the answer is 2.5. That is all.", "2.5"),
        (r"\boxed{1}, \boxed{2}", "1, 2"),
        (r"\boxed{1} and again \boxed{1}", "1"),
        (r"\boxed{34}, \boxed{}", ""),
    ],
)
def test_last_marked_answer_is_found(response: str, text: str) -> None:
    answer = find_answer(response)
    assert answer is not None
    assert answer.text.strip() == text


@pytest.mark.parametrize("response", ["", "34", "I think that it is 34", "Answer:", "<answer></answer>"])
def test_nothing_is_marked(response: str) -> None:
    assert find_answer(response) is None


@pytest.mark.parametrize(
    ("response", "lists"),
    [
        (r"\boxed{1}", ()),
        (r"$x=\boxed{1}$ or $x=\boxed{2}$", (("1", "2"),)),
        (r"Step: \boxed{3}. So \boxed{1} and \boxed{2}", (("1", "2"), ("3", "1", "2"))),
        (r"\boxed{3}, no, that is wrong. \boxed{1}", ()),
    ],
)
def test_boxes_that_are_an_answer_together(response: str, lists: tuple) -> None:
    answer = find_answer(response)
    assert answer is not None
    assert answer.lists == lists


@given(st.text(alphabet="{}a\\ \n", max_size=40))
def test_braces_are_balanced(text: str) -> None:
    repaired = balanced(text)
    depth = 0
    for character in repaired:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0
    assert [c for c in repaired if c not in "{}"] == [c for c in text if c not in "{}"]


@given(st.text(alphabet="ab{} ", max_size=20).map(balanced))
def test_what_is_boxed_is_found(content: str) -> None:
    boxes = find_boxes(rf"first \boxed{{0}}, then \boxed{{{content}}} and so on")
    assert boxes[-1].text == content
    assert boxes[-1].finished


@given(
    st.lists(st.sampled_from(["\\boxed{", "}", "Answer: ", "3", "\n", "<answer>", "</answer>", "the answer is ", "$"]))
)
def test_any_response_is_looked_through(pieces: list[str]) -> None:
    answer = find_answer("".join(pieces))
    assert answer is None or isinstance(answer.text, str)


# -- notation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (r"\left( 3, \dfrac{1}{2} \right)", r"( 3, \frac{1}{2} )"),
        (r"11,\! 111,\! 100", "11,111,100"),
        ("\u2212√3", r"-\sqrt{3}"),
        ("x²", "x^{2}"),
        (r"4\sqrt(x+(1))", r"4\sqrt{x+(1)}"),
        ("np.arcsin(10/13)", r"\arcsin (10/13)"),
        ("-3./2", "-3/2"),
        (".5", "0.5"),
        ("4.5e-3", r"4.5\cdot 10^{-3}"),
        ("2**3", "2^3"),
        ("**5**", "5"),
        ("2 1/3", r"2\frac{1}{3}"),
        (r"4.1\overline{6}", r"4\frac"),
        (r"\frac12", r"\frac{1}{2}"),
        (r"\lambda_{\text {red}}", r"\lambda_{red}"),
        (r"\begin{pmatrix} 1 \\[4pt] 2 \end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
    ],
)
def test_notation(text: str, wanted: str) -> None:
    if text.startswith("4.1"):
        wanted = r"\frac{375}{90}"
    assert normalized(text) == wanted


def test_rules_have_names_of_their_own() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)


@given(st.text(alphabet="\\{}()[]$.,^_ 0123abexπ√²%*frcsqtd", max_size=40))
def test_any_text_is_normalized(text: str) -> None:
    assert isinstance(normalized(text), str)


# -- shapes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "parts"),
    [
        ("5", "one", []),
        ("1,2 and 3", "list", ["1", "2", "3"]),
        (r"\{1,2\}", "set", ["1", "2"]),
        ("(1,2)", "()", ["1", "2"]),
        ("(1,2,3)", "()", ["1", "2", "3"]),
        ("[1,2)", "[)", ["1", "2"]),
        ("(1,2),(3,4)", "list", ["(1,2)", "(3,4)"]),
        ("1,000", "number", ["1", "000"]),
        ("x > 2", "()", ["2", r"\infty"]),
        (r"2 \le x", "[)", ["2", r"\infty"]),
        (r"-1 < x \le 2", "(]", ["-1", "2"]),
        (r"x<1 \text{ or } x>3", "union", ["x<1", "x>3"]),
        (r"(1,2)\cup(3,4)", "union", ["(1,2)", "(3,4)"]),
        (r"1 \pm a", "list", ["1 + a", "1 - a"]),
        (r"x \in [1,2]", "[]", ["1", "2"]),
        ("t(0,4]", "(]", ["0", "4"]),
    ],
)
def test_shapes(text: str, kind: str, parts: list[str]) -> None:
    shape = read(text)
    assert shape.kind == kind
    assert [part.text for part in shape.parts] == parts


@given(st.text(alphabet="(){}[]\\,;<>=|x1 andor", max_size=30))
def test_any_text_is_taken_apart(text: str) -> None:
    assert read(text).kind


# -- values --------------------------------------------------------------------------------------------------------


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**30))
def test_numbers_are_exact(numerator: int, denominator: int) -> None:
    gold = rf"\frac{{{numerator}}}{{{denominator}}}"
    assert same_value(gold, rf"\frac{{{2 * numerator}}}{{{2 * denominator}}}")
    assert not same_value(gold, rf"\frac{{{numerator + 1}}}{{{denominator}}}")


@given(st.integers(-40, 40), st.integers(101, 999))
def test_decimals_of_any_size_compare_relatively(exponent: int, digits: int) -> None:
    gold = rf"{digits / 100}\cdot 10^{{{exponent}}}"
    assert same_value(gold, rf"{digits}\cdot 10^{{{exponent - 2}}}")
    assert not same_value(gold, rf"{(digits + 1) / 100}\cdot 10^{{{exponent}}}")
    assert not same_value(gold, "0.0")


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        (r"\frac{1}{3}", "0.333333", True),
        (r"\frac{1}{3}", "0.33333", False),
        (r"\frac{14}{3}", "4.666667", True),
        ("1234567", "1234567.5", False),
        ("2^{99}", "633825300114114700748351602689", False),
        (r"\sqrt{x^2}", "x", False),
        (r"\sqrt{x^2}", "|x|", True),
        (r"\frac{1-(-1)^{n}}{2}", r"\frac{1+(-1)^{n+1}}{2}", True),
        ("5", "x", False),
        ("4 +", "4", False),
        ("34 35", "69", False),
        (r"1.8\overline{6}", "1.8", False),
    ],
)
def test_values(gold: str, answer: str, same: bool) -> None:
    assert same_value(gold, answer) is same


# -- words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value", "noun"),
    [
        (r"5 \text{ cm}", "5", "cm"),
        ("5 apples", "5", "apple"),
        (r"\text{5 apples}", "5", "apple"),
        (r"5\%", "5", "%"),
        (r"\text{USD}18.90", "18.90", "usd"),
        ("5 or more", "5 or more", None),
        (r"5 \text{ is wrong}", r"5 \text{ is wrong}", None),
        ("5x", "5x", None),
        ("5m", "5m", None),
    ],
)
def test_units(text: str, value: str, noun: str | None) -> None:
    found, unit = split_unit(text)
    assert (found, unit and unit.noun) == (value, noun)


def test_choices() -> None:
    assert choice(r"\text{(C)}") == choice("C") == "C"
    assert choice("AC") is choice("5") is None
    assert chosen("C. 5") == chosen("(C) 5") == chosen("c") == "C"
    assert chosen("C or D") is chosen("C. 5, D. 6") is chosen("5") is None
