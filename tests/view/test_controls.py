"""Of several watchers of a match one holds the controls."""

from metta.view.controls import Controls


def test_who_comes_first_holds_them_and_who_comes_next_has_them_after():
    controls = Controls()
    assert controls.holder is None
    first, second = controls.join(), controls.join()
    assert controls.holder == first
    controls.leave(first)
    assert controls.holder == second
    controls.leave(second)
    assert controls.holder is None


def test_they_are_handed_over_to_who_asks():
    controls = Controls()
    first, second, third = (controls.join() for _ in range(3))
    controls.ask(third)
    controls.ask(second)  # comes too late
    assert controls.told_to(first) == {"holds": True, "asked": True, "asking": False}
    assert controls.told_to(third) == {"holds": False, "asked": False, "asking": True}
    controls.answer(give=True)
    assert controls.holder == third and controls.wait is None
    controls.leave(third)
    assert controls.holder == first


def test_who_holds_them_may_keep_them():
    controls = Controls()
    first, second = controls.join(), controls.join()
    controls.ask(second)
    controls.answer(give=False)
    assert controls.told_to(first) == {"holds": True, "asked": False, "asking": False}


def test_who_does_not_answer_loses_them():
    slow, quick = Controls(), Controls(patience=0.0)
    for controls, holder in ((slow, 1), (quick, 2)):
        controls.join()
        controls.ask(controls.join())
        controls.pass_on()
        assert controls.holder == holder


def test_a_question_ends_when_one_of_the_two_leaves():
    for leaver in (1, 2):
        controls = Controls(patience=0.0)
        controls.join()
        controls.ask(controls.join())
        controls.leave(leaver)
        controls.pass_on()
        assert controls.asking is None and controls.holder == 3 - leaver


def test_who_holds_them_or_is_not_there_cannot_ask():
    controls = Controls()
    controls.ask(controls.join())
    controls.ask(7)
    assert controls.asking is None
