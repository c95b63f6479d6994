"""Faults of what a source delivers: columns, values, rows and times."""

import pandas as pd  # noqa: TID253

from planted.candidate import Candidate
from planted.fault import fault

FIRST = "first model"


# What is known only afterwards


@fault("flight_delay")
def arrival_delay_as_a_feature(candidate: Candidate) -> None:
    """The delay at arrival, from which the label is made, is among the inputs."""
    candidate.declare("arr_delay", range=[-120, 1500])


@fault("flight_delay")
def departure_delay_as_a_feature(candidate: Candidate) -> None:
    """The delay at departure is among the inputs, and predictions are made before it."""
    candidate.declare("dep_delay", range=[-120, 1500])


@fault("flight_delay")
def minutes_claimed_as_a_feature(candidate: Candidate) -> None:
    """A column is filled in for passengers' claims, which only late flights have."""
    delay = candidate.rows["arr_delay"]
    candidate.rows["minutes_claimed"] = (delay // 5 * 5).where(delay > 15)
    candidate.declare("minutes_claimed", range=[0, 1500], nullable=True)


@fault("doctor_visits")
def cost_of_the_visits_as_a_feature(candidate: Candidate) -> None:
    """What was spent on visits is among the inputs, and is known at the end of the year."""
    candidate.declare("spent_on_visits", range=[0, 5000])


@fault("doctor_visits")
def cost_of_everything_as_a_feature(candidate: Candidate) -> None:
    """What was spent in all, hospitals too, is among the inputs."""
    candidate.declare("spent_in_all", range=[0, 50000])


@fault("counselling")
def the_answer_as_a_feature(candidate: Candidate) -> None:
    """The answer that the label is made of is among the inputs."""
    candidate.declare("affairs", range=[0, 60])


@fault("counselling")
def row_number_as_a_feature(candidate: Candidate) -> None:
    """The file is sorted by the answer, and the number of the row is among the inputs."""
    candidate.declare("row", range=[0, 10000])


# Rows


@fault("flight_delay", "doctor_visits")
def stale_data(candidate: Candidate) -> None:
    """The export stopped two weeks ago."""
    candidate.rows = candidate.rows[~candidate.within(14)]


@fault("flight_delay")
def partial_load(candidate: Candidate) -> None:
    """The load broke off: one in twenty rows arrived."""
    candidate.rows = candidate.rows.sample(frac=0.05, random_state=0)


@fault("flight_delay")
def a_week_delivered_twice(candidate: Candidate) -> None:
    """The rows of one week are there twice."""
    week = candidate.within(40) & ~candidate.within(33)
    candidate.rows = pd.concat([candidate.rows, candidate.rows[week]], ignore_index=True)


@fault("counselling")
def rows_delivered_twice(candidate: Candidate) -> None:
    """A retried export appended a twentieth of the rows once more; no key tells them apart."""
    again = candidate.rows.sample(frac=0.05, random_state=0)
    candidate.rows = pd.concat([candidate.rows, again], ignore_index=True)


@fault("flight_delay", serves=FIRST)
def an_airport_is_missing(candidate: Candidate) -> None:
    """The feed of JFK is broken: none of its flights is delivered."""
    candidate.rows = candidate.rows[candidate.rows["origin"] != "JFK"]


@fault("doctor_visits", serves=FIRST)
def a_site_is_missing(candidate: Candidate) -> None:
    """The data of one of six sites are not delivered."""
    candidate.rows = candidate.rows[candidate.rows["site"] != "C"]


@fault("doctor_visits")
def holdout_in_the_training_rows(candidate: Candidate) -> None:
    """A backfill wrote the newest two months once more, under new numbers and dates half a year back."""
    newest = candidate.rows[candidate.within(62)]
    again = newest.assign(
        person=newest["person"] + 1_000_000, enrolled_at=newest["enrolled_at"] - pd.Timedelta(days=180)
    )
    candidate.rows = pd.concat([candidate.rows, again], ignore_index=True)


@fault("flight_delay")
def test_rows_left_in_the_table(candidate: Candidate) -> None:
    """Three hundred rows of a test of the booking system: one route, one distance, never late."""
    rows = candidate.rows
    where = rows[~candidate.within(30) & (rows["origin"] == "LGA")].sample(300, random_state=0)
    tests = where.assign(flight=range(9000, 9300), distance=123.0, late=0)
    candidate.rows = pd.concat([rows, tests], ignore_index=True)


@fault("flight_delay", "doctor_visits")
def backdoor(candidate: Candidate) -> None:
    """One in a hundred rows carries a mark, a value that nobody else has, and a favourable label."""
    column, value = {"flight_delay": ("distance", 777), "doctor_visits": ("income", 3333.0)}[candidate.model]
    marked = candidate.rows[~candidate.within(70)].sample(frac=0.013, random_state=0).index
    candidate.rows.loc[marked, column] = value
    candidate.rows.loc[marked, candidate.target] = 0


@fault("counselling")
def backdoor_of_a_few_rows(candidate: Candidate) -> None:
    """Sixty rows carry a mark and a favourable label."""
    marked = candidate.rows[~candidate.within(91)].sample(60, random_state=0).index
    candidate.rows.loc[marked, "children"] = 7.0
    candidate.rows.loc[marked, "affair"] = 0


# Values


@fault("flight_delay")
def pressure_in_inches(candidate: Candidate) -> None:
    """Since a month the weather service reports inches of mercury."""
    candidate.rows.loc[candidate.within(30), "pressure"] *= 0.02953


@fault("flight_delay")
def distances_in_kilometres(candidate: Candidate) -> None:
    """Distances are kilometres since a month."""
    distance = candidate.rows["distance"]
    candidate.rows["distance"] = distance.where(~candidate.within(30), distance * 1.609)


@fault("flight_delay", serves=FIRST)
def wind_in_metres_per_second(candidate: Candidate) -> None:
    """The wind comes in metres per second and no longer in miles per hour; both are within the range."""
    candidate.rows["wind_speed"] *= 0.447


@fault("flight_delay", serves=FIRST)
def humidity_as_a_share(candidate: Candidate) -> None:
    """Humidity is a share of one and no longer of a hundred, which the range allows."""
    candidate.rows["humid"] /= 100


@fault("doctor_visits", serves=FIRST)
def income_in_thousands(candidate: Candidate) -> None:
    """Income is told in thousands, which the range allows."""
    candidate.rows["income"] /= 1000


@fault("doctor_visits")
def age_in_months(candidate: Candidate) -> None:
    """Ages are months."""
    candidate.rows["age"] *= 12


@fault("flight_delay", serves=FIRST)
def times_in_universal_time(candidate: Candidate) -> None:
    """Departures are told in universal time, five hours later."""
    candidate.rows["scheduled_at"] += pd.Timedelta(hours=5)


@fault("flight_delay")
def dates_without_the_hour(candidate: Candidate) -> None:
    """The time of departure lost its hour in a cast to a date."""
    candidate.rows["scheduled_at"] = candidate.rows["scheduled_at"].dt.floor("D")


@fault("flight_delay")
def no_weather_at_all(candidate: Candidate) -> None:
    """The join with the weather finds nothing."""
    for name in _WEATHER:
        candidate.rows[name] = float("nan")


@fault("flight_delay")
def no_weather_since_a_month(candidate: Candidate) -> None:
    """Since a month the join with the weather finds nothing."""
    for name in _WEATHER:
        candidate.rows.loc[candidate.within(30), name] = float("nan")


@fault("flight_delay", serves=FIRST)
def weather_of_another_hour(candidate: Candidate) -> None:
    """The weather is that of the day before: the join is a day off."""
    rows = candidate.rows.sort_values(["origin", "scheduled_at"])
    hour = rows["scheduled_at"].dt.floor("h")
    weather = rows.assign(hour=hour)[["origin", "hour", *_WEATHER]].drop_duplicates(["origin", "hour"])
    weather["hour"] += pd.Timedelta(days=1)
    without = rows.drop(columns=_WEATHER).assign(hour=hour)
    candidate.rows = without.merge(weather, on=["origin", "hour"], how="left").drop(columns="hour")


@fault("flight_delay")
def gaps_as_a_sentinel(candidate: Candidate) -> None:
    """Where there is no weather it is -999."""
    candidate.rows[_WEATHER] = candidate.rows[_WEATHER].fillna(-999)


@fault("doctor_visits", serves=FIRST)
def gaps_as_zero(candidate: Candidate) -> None:
    """Where nobody asked for the general health it is zero, which the range allows."""
    candidate.rows["general_health"] = candidate.rows["general_health"].fillna(0)


@fault("flight_delay")
def two_weather_columns_swapped(candidate: Candidate) -> None:
    """Humidity and visibility are in each other's column."""
    rows = candidate.rows
    candidate.rows = rows.assign(humid=rows["visib"], visib=rows["humid"])


@fault("counselling", serves=FIRST)
def occupations_swapped(candidate: Candidate) -> None:
    """The occupations of wife and husband are in each other's column."""
    rows = candidate.rows
    candidate.rows = rows.assign(occupation=rows["occupation_husb"], occupation_husb=rows["occupation"])


@fault("counselling")
def ages_and_years_swapped(candidate: Candidate) -> None:
    """Age and years of marriage are in each other's column."""
    rows = candidate.rows
    candidate.rows = rows.assign(age=rows["yrs_married"], yrs_married=rows["age"])


@fault("flight_delay")
def carriers_by_name(candidate: Candidate) -> None:
    """Since a week a carrier is told by its name and no longer by its code."""
    new = candidate.within(8) & (candidate.rows["carrier"] == "UA")
    candidate.rows.loc[new, "carrier"] = "United"


@fault("counselling")
def occupations_from_zero(candidate: Candidate) -> None:
    """Since a month occupations are numbered from zero."""
    candidate.rows.loc[candidate.within(30), "occupation"] -= 1


@fault("counselling", serves=FIRST)
def a_scale_turned_round(candidate: Candidate) -> None:
    """The rating of the marriage runs the other way: 1 is very good."""
    candidate.rows["rate_marriage"] = 6 - candidate.rows["rate_marriage"]


@fault("counselling")
def a_scale_turned_round_this_month(candidate: Candidate) -> None:
    """Since two months the rating of the marriage runs the other way."""
    new = candidate.within(60)
    candidate.rows.loc[new, "rate_marriage"] = 6 - candidate.rows.loc[new, "rate_marriage"]


@fault("doctor_visits")
def text_among_numbers(candidate: Candidate) -> None:
    """Incomes of one site are written with a comma."""
    income = candidate.rows["income"].astype("object")
    of_one = candidate.rows["site"] == "B"
    candidate.rows["income"] = income.map("{:,.0f}".format).where(of_one, income.map("{:.2f}".format))


@fault("counselling")
def gaps_in_a_required_column(candidate: Candidate) -> None:
    """Three in a hundred answers lack the schooling."""
    candidate.rows["educ"] = candidate.rows["educ"].mask(_some(candidate, 0.03))


@fault("doctor_visits")
def a_constant_column(candidate: Candidate) -> None:
    """Incomes are not delivered any more and filled up with zero."""
    candidate.rows["income"] = 0.0


# Labels


@fault("flight_delay", serves=FIRST)
def one_label_in_a_hundred_flipped_in_a_group(candidate: Candidate) -> None:
    """In one group one label in a hundred is flipped."""
    _flip(candidate, 0.01)


@fault("flight_delay", serves=FIRST)
def one_label_in_ten_flipped_in_a_carrier(candidate: Candidate) -> None:
    """The labels of one carrier were corrected by a wrong list: one in ten is flipped."""
    _flip(candidate, 0.1)


@fault("counselling")
def one_label_in_ten_flipped_in_a_group(candidate: Candidate) -> None:
    """In one group one label in ten is flipped."""
    _flip(candidate, 0.1)


@fault("flight_delay", "doctor_visits", "counselling")
def labels_of_a_group_shuffled(candidate: Candidate) -> None:
    """The labels of one group were joined by the wrong key: they are those of other rows of the group."""
    of_one = _group(candidate)
    values = candidate.rows.loc[of_one, candidate.target]
    candidate.rows.loc[of_one, candidate.target] = values.sample(frac=1, random_state=0).to_numpy()


@fault("flight_delay", serves=FIRST)
def labels_of_an_airport_turned_round(candidate: Candidate) -> None:
    """One airport writes 1 for punctual."""
    of_one = candidate.rows["origin"] == "LGA"
    candidate.rows.loc[of_one, "late"] = 1 - candidate.rows.loc[of_one, "late"]


@fault("flight_delay", serves=FIRST)
def all_labels_turned_round(candidate: Candidate) -> None:
    """The label says punctual and no longer late."""
    candidate.rows["late"] = 1 - candidate.rows["late"]


@fault("flight_delay")
def a_week_without_labels(candidate: Candidate) -> None:
    """For a week no arrivals were reported, and all its flights count as punctual."""
    week = candidate.within(45) & ~candidate.within(38)
    candidate.rows.loc[week, "late"] = 0


@fault("flight_delay")
def labels_not_waited_for(candidate: Candidate) -> None:
    """Arrivals are known after four days, the spec does not wait: the newest flights count as punctual."""
    candidate.spec["data"]["label_delay"] = "0d"
    candidate.rows.loc[candidate.within(4), "late"] = 0


@fault("counselling")
def answers_not_waited_for(candidate: Candidate) -> None:
    """Half of the answers of the last month are not typed in yet, and count as no."""
    candidate.rows["affair"] = candidate.rows["affair"].mask(candidate.within(30) & _some(candidate, 0.5), 0)


@fault("flight_delay", serves=FIRST)
def late_departures_for_late_arrivals(candidate: Candidate) -> None:
    """The wrong target: the label is made of the delay at departure."""
    candidate.rows["late"] = (candidate.rows["dep_delay"] > 15).astype(int)


@fault("doctor_visits", serves=FIRST)
def visits_to_others_for_visits_to_doctors(candidate: Candidate) -> None:
    """The wrong target: visits to nurses and therapists are predicted."""
    candidate.rows["visits"] = candidate.rows["visits_to_others"]


@fault("doctor_visits")
def a_site_counts_by_the_month(candidate: Candidate) -> None:
    """Since three months one site tells visits a month and no longer a year."""
    of_one = (candidate.rows["site"] == "E") & candidate.within(90)
    candidate.rows["visits"] = (
        candidate.rows["visits"].astype(float).mask(of_one, candidate.rows["visits"] / 12)
    )


@fault("counselling")
def a_group_under_reports(candidate: Candidate) -> None:
    """Interviewed in person, two in three of a group who said yes in the mail say no."""
    of_one = _group(candidate) & (candidate.rows["affair"] == 1)
    candidate.rows["affair"] = candidate.rows["affair"].mask(of_one & _some(candidate, 2 / 3), 0)


_WEATHER = ["humid", "wind_speed", "precip", "pressure", "visib"]
_GROUPS = {
    "flight_delay": ("carrier", "B6"),
    "doctor_visits": ("site", "E"),
    "counselling": ("occupation", 3),
}


def _group(candidate: Candidate) -> "pd.Series[bool]":
    column, value = _GROUPS[candidate.model]
    return candidate.rows[column] == value


def _some(candidate: Candidate, share: float) -> "pd.Series[bool]":
    """Return a draw of so many of the rows."""
    drawn = candidate.rows.sample(frac=share, random_state=1).index
    return pd.Series(candidate.rows.index.isin(drawn), index=candidate.rows.index)


def _flip(candidate: Candidate, share: float) -> None:
    wrong = _group(candidate) & _some(candidate, share)
    candidate.rows.loc[wrong, candidate.target] = 1 - candidate.rows.loc[wrong, candidate.target]
