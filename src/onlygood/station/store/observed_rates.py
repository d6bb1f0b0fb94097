"""How the guarantees of a model's versions are doing, by what was inspected and what people marked."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import func, select

from onlygood._plurals import pluralize
from onlygood.rates import DECIMAL, binomial_interval
from onlygood.station.schemas import Label, ModelVersion, ObservedShare, Verdict, VersionRates
from onlygood.station.store.database import Database
from onlygood.station.store.tables import InspectionRow

CONFIDENCE = 0.95
_Counts = dict[tuple[str, str | None], int]


def observed_rates(database: Database, model: str, versions: list[ModelVersion]) -> list[VersionRates]:
    """The rates of each version that inspected an image, in the order of the versions.

    Args:
        database: with its tables.
        model: its name.
        versions: of the model.

    Raises:
        StoreError: the database cannot be read.
    """
    query = (
        select(InspectionRow.model_sha256, InspectionRow.verdict, InspectionRow.label, func.count())
        .where(InspectionRow.model == model)
        .group_by(InspectionRow.model_sha256, InspectionRow.verdict, InspectionRow.label)
    )
    counts: dict[str, _Counts] = {}
    with database.reading() as connection:
        for digest, verdict, label, number in connection.execute(query):
            counts.setdefault(digest, {})[verdict, label] = number
    return [rates_of(model, version, counts[version.sha256]) for version in versions if version.sha256 in counts]


def rates_of(model: str, version: ModelVersion, counts: _Counts) -> VersionRates:
    """The rates of one version.

    A part that is good is called anomalous at some rate, which is to be compared with the one that the version states.
    Which parts are good is known of those alone that people marked. If every alarm that nobody marked was of a defect,
    the share is the least that it can be; if each was false, the most.

    Args:
        model: its name.
        version: of it.
        counts: inspections by verdict and label.
    """

    def number(verdict: Verdict, *labels: Label | None) -> int:
        return sum(counts.get((verdict.value, None if label is None else label.value), 0) for label in labels)

    every = (None, Label.GOOD, Label.DEFECT)
    alarms, quiet = number(Verdict.ANOMALOUS, *every), number(Verdict.GOOD, *every)
    false_alarms = number(Verdict.ANOMALOUS, Label.GOOD)
    unmarked = number(Verdict.ANOMALOUS, None)
    misses, found = number(Verdict.GOOD, Label.DEFECT), number(Verdict.ANOMALOUS, Label.DEFECT)
    # Images called good that nobody marked are taken for good parts: among very many, the misses change nothing.
    quiet_good = quiet - misses
    at_least = _share(false_alarms, quiet_good + false_alarms)
    at_most = _share(false_alarms + unmarked, quiet_good + false_alarms + unmarked)
    rate = version.false_alarm_rate
    verdict: Literal["contradicted", "confirmed", "open"] = "open"
    if at_least is not None and at_least.low > rate:
        verdict = "contradicted"
    elif at_most is not None and at_most.high <= rate:
        verdict = "confirmed"
    rates = VersionRates(
        model=model,
        version=version.number,
        model_sha256=version.sha256,
        false_alarm_rate=rate,
        inspections=alarms + quiet,
        anomalous=_share(alarms, alarms + quiet),
        marked_good=false_alarms + number(Verdict.GOOD, Label.GOOD),
        marked_defects=misses + found,
        unmarked_alarms=unmarked,
        false_alarms=false_alarms,
        false_alarms_at_least=at_least,
        false_alarms_at_most=at_most,
        misses=_share(misses, misses + found),
        verdict=verdict,
        sentences=(),
    )
    return rates.model_copy(update={"sentences": tuple(_sentences(rates))})


def _share(events: int, trials: int) -> ObservedShare | None:
    if trials == 0:
        return None
    low, high = binomial_interval(events, trials, confidence=CONFIDENCE)
    return ObservedShare(events=events, trials=trials, value=events / trials, low=low, high=high, confidence=CONFIDENCE)


def _sentences(rates: VersionRates) -> list[str]:
    if rates.anomalous is None:
        return ["No image was inspected with this version."]
    stated = DECIMAL.share(rates.false_alarm_rate, 3)
    at_least, at_most = rates.false_alarms_at_least, rates.false_alarms_at_most
    unmarked = pluralize(rates.unmarked_alarms, "alarm", verb="is")
    if at_least is None or at_most is None:
        said = [f"The false-alarm rate of {stated} cannot be compared: no image of a good part was inspected."]
    elif rates.verdict == "contradicted":
        said = [
            f"The false-alarm rate of {stated} is CONTRADICTED: of images of good parts at least {_written(at_least)} "
            "were called anomalous, by what people marked. Look at the false alarms, and update the model with them or "
            "fit it again."
        ]
    elif rates.verdict == "confirmed":
        if_all = ""
        if rates.unmarked_alarms:
            if_all = f", even if all {rates.unmarked_alarms:,} alarms that nobody marked were false"
        said = [
            f"The false-alarm rate of {stated} is confirmed: of images of good parts at most {_written(at_most)} were "
            f"called anomalous{if_all}."
        ]
    elif rates.unmarked_alarms:
        said = [
            f"The false-alarm rate of {stated} is not contradicted: of images of good parts at least "
            f"{_written(at_least)} and at most {_written(at_most)} were called anomalous, as {unmarked} not marked. "
            "Mark them to know it better."
        ]
    else:
        said = [
            f"The false-alarm rate of {stated} is not contradicted: of images of good parts {_written(at_least)} were "
            "called anomalous. More inspections would be needed to confirm it."
        ]
    said.append(
        f"Of all images {_written(rates.anomalous)} were called anomalous; false alarms and defects are both in it."
    )
    if rates.misses is not None:
        said.append(
            f"Of the images that people marked as defects {_written(rates.misses)} were called good. People mark what "
            "they notice: a defect that nobody saw is in no figure."
        )
    said.append(
        "The intervals take images as independent: where many images show one part, or one lot, they are too narrow."
    )
    return said


def _written(share: ObservedShare) -> str:
    value, low, high = (DECIMAL.share(number, 2) for number in (share.value, share.low, share.high))
    return f"{share.events:,} of {share.trials:,}, {value} ({share.confidence:.0%} interval {low} to {high}),"
