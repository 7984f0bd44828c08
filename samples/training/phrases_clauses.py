"""Clauses of the phrase grammar: statements and questions."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from phrases_lexicon import (
    ACTS,
    ADJECTIVE_LIST,
    NAME_LIST,
    NOUNS,
    PRONOUN_LIST,
    VERBS,
    Adjective,
    Verb,
)
from phrases_parts import (
    NOTHING,
    Phrase,
    adjectives,
    article,
    attribute,
    be,
    destination,
    do,
    en,
    entry,
    local,
    location,
    moment,
    named,
    noun_phrase,
    nouns,
    object_of,
    object_pronoun,
    pair,
    people,
    present,
    relation,
    someone,
    thing,
    zh,
)

MODALS = (("会", "will"), ("能", "can"), ("应该", "should"), ("必须", "must"))
WISHES = (("想", "want"), ("打算", "plan"), ("喜欢", "like"))
KNOWN = "this those own bare"
"""Noun phrases for what is not new: 我没吃一个苹果 would be odd."""
BA_VERBS = ("吃", "喝", "卖", "洗", "丢", "切", "打开", "关上")
PETS_DO = ("看见", "找到", "追", "吃", "喝", "喜欢", "睡觉", "来", "走")


# Clauses ---------------------------------------------------------------------------------------


GO = Verb("去", "go", "went", "", "去了")
GIVE = Verb("给", "give", "gave", "", "给了")


def verb_and_object(rng: Random, pet: bool = False, kinds: str = "") -> tuple[Verb, Phrase]:
    dice = rng.random()
    if dice < 0.1 and not pet:
        return GO, destination(rng)
    if dice < 0.25:
        return rng.choice([verb for verb in ACTS if not pet or verb.chinese in PETS_DO]), NOTHING
    verb = rng.choice([verb for verb in VERBS if not pet or verb.chinese in PETS_DO])
    return verb, object_of(rng, verb, kinds)


def acting(
    rng: Random, wanted: Callable[[Verb], object], kinds: str = ""
) -> tuple[Phrase, Verb, Phrase]:
    """A subject, its verb and its object, the verb as `wanted`."""
    pet = rng.random() < 0.12
    while True:
        verb, what = verb_and_object(rng, pet, kinds)
        if wanted(verb):
            break
    if not pet:
        return people(rng, "one number this those bare"), verb, what
    animal = rng.choice(nouns(["animal"]))
    return noun_phrase(rng, animal, "the", "one number this own bare"), verb, what


def spoken(verb: Verb, form: str, done: bool = False) -> Phrase:
    """The verb in English `form`; with `done` the Chinese has its 了, which no word comes from."""
    characters = zh(verb.perfective if done else verb.chinese)
    own = Phrase(tuple(char for char in characters.chinese if not done or char.text != "了"))
    return Phrase(characters.chinese, en(verb.form(form), own).english)


def stated(
    rng: Random, subject: Phrase, when: Phrase, middle: list[Phrase], english: list[Phrase]
) -> Phrase:
    """The time stands before or after a Chinese subject, and at the end in English."""
    start = [subject, when] if rng.random() < 0.5 else [when, subject]
    return pair([*start, *middle], [subject, *english, when], subject.person)


def done(rng: Random) -> Phrase:
    """我昨天在商店买了一本书."""
    subject, verb, what = acting(rng, lambda verb: verb.perfective)
    word = spoken(verb, "past", done=True)
    also = entry("也", "also") if rng.random() < 0.08 else NOTHING
    where = place_of_act(rng, verb)
    when = moment(rng, "past", 0.35)
    return stated(rng, subject, when, [also, where, word, what], [also, word, what, where])


def place_of_act(rng: Random, verb: Verb, chance: float = 0.15) -> Phrase:
    if verb is GO or verb.base in ("go home", "leave") or rng.random() > chance:
        return NOTHING
    return location(rng, zh("在"))


def habit(rng: Random) -> Phrase:
    """他常常喝茶."""
    subject, verb, what = acting(rng, lambda verb: True)
    word = spoken(verb, present(subject.person))
    often = NOTHING
    if rng.random() < 0.25:
        often = entry(*rng.choice((("常常", "often"), ("总是", "always"), ("也", "also"))))
    where = place_of_act(rng, verb, 0.15 if verb.perfective else 0)
    when = moment(rng, "present", 0.2 if verb.perfective else 0)
    return stated(rng, subject, when, [often, where, word, what], [often, word, what, where])


def going_on(rng: Random) -> Phrase:
    """她正在看书."""
    subject, verb, what = acting(rng, lambda verb: verb.ing)
    word, now = spoken(verb, "ing"), zh(rng.choice(("正在", "正在", "在")))
    when = moment(rng, "now", 0.1)
    return stated(rng, subject, when, [now, word, what], [en(be(subject.person), now), word, what])


def not_doing(rng: Random) -> Phrase:
    """我不喝咖啡."""
    subject, verb, what = acting(rng, lambda verb: True, KNOWN)
    word, no = spoken(verb, "base"), zh("不")
    when = moment(rng, "present", 0.05 if verb.perfective else 0)
    small = [en(do(subject.person)), en("not", no)]
    return stated(rng, subject, when, [no, word, what], [*small, word, what])


def not_done(rng: Random) -> Phrase:
    """他昨天没来."""
    subject, verb, what = acting(rng, lambda verb: verb.perfective, KNOWN)
    word, no = spoken(verb, "base"), zh(rng.choice(("没", "没有")))
    when = moment(rng, "past", 0.3)
    small = [en("did"), en("not", no)]
    return stated(rng, subject, when, [no, word, what], [*small, word, what])


def modal(rng: Random) -> tuple[Phrase, list[Phrase]]:
    """会, and its Chinese for the other order; or 不会, will not."""
    chinese, english = rng.choice(MODALS)
    word = entry(chinese, english)
    if chinese == "必须" or rng.random() > 0.3:
        return word, [word]
    if chinese == "能":
        cannot = entry("不能", "cannot")
        return cannot, [cannot]
    no = entry("不", "not")
    return pair([no, word], []), [word, no]


def will_do(rng: Random) -> Phrase:
    """我明天会去北京."""
    subject, verb, what = acting(rng, lambda verb: verb.perfective)
    word, (chinese, english) = spoken(verb, "base"), modal(rng)
    when, where = moment(rng, "future", 0.3), place_of_act(rng, verb)
    return stated(rng, subject, when, [chinese, where, word, what], [*english, word, what, where])


def wishes(rng: Random) -> Phrase:
    """我想喝茶, 她不想走."""
    subject, verb, what = people(rng), *verb_and_object(rng)
    while not verb.perfective:
        verb, what = verb_and_object(rng)
    chinese, english = rng.choice(WISHES)
    refused = rng.random() < 0.3
    form = english if refused or present(subject.person) == "base" else english + "s"
    wish, word, no = entry(chinese, form), spoken(verb, "base"), zh("不" if refused else "")
    small = [en(do(subject.person)), en("not", no)] if refused else []
    when = moment(rng, "future", 0.1 if english != "like" else 0)
    return stated(rng, subject, when, [no, wish, word, what], [*small, wish, en("to"), word, what])


# Qualities -------------------------------------------------------------------------------------


def quality_of(rng: Random, about: str) -> tuple[Phrase, Adjective]:
    """A subject and an adjective that fits it."""
    if about == "person":
        fitting = [a for a in ADJECTIVE_LIST if "person" in a.tags]
        return people(rng), rng.choice(fitting)
    noun = rng.choice([noun for noun in NOUNS if "person" not in noun.tags and adjectives(noun)])
    subject = noun_phrase(rng, noun, "the", "number this those own bare relative")
    return subject, rng.choice(adjectives(noun))


def is_quality(rng: Random) -> Phrase:
    """书很好, 我昨天很忙, 这本书是红色的, 茶太热了."""
    subject, adjective = quality_of(rng, rng.choice(("person", "thing")))
    word = entry(adjective.chinese, adjective.english)
    past = "person" in adjective.tags and rng.random() < 0.15
    when = moment(rng, "past" if past else "now", 1 if past else 0.05)
    small = be(subject.person, past)
    if adjective.chinese.endswith("色"):
        link = zh("是")
        return pair([subject, link, word, zh("的")], [subject, en(small, link), word])
    dice = rng.random()
    if dice < 0.5:
        link = zh("很")
        return stated(rng, subject, when, [link, word], [en(small, link), word])
    if dice < 0.65:
        no = entry("不", "not")
        return stated(rng, subject, when, [no, word], [en(small), no, word])
    if dice < 0.8:
        too = entry("太", "too")
        return stated(rng, subject, when, [too, word, zh("了")], [en(small), too, word])
    very = entry(*rng.choice((("非常", "very"), ("真", "really"))))
    return stated(rng, subject, when, [very, word], [en(small), very, word])


def is_fine(rng: Random) -> Phrase:
    """我很好: I am fine."""
    subject, link = people(rng), zh("很")
    word = entry("好", "fine")
    return pair([subject, link, word], [subject, en(be(subject.person), link), word])


def compares(rng: Random) -> Phrase:
    """我的书比他的书新."""
    than = entry("比", "than")
    if rng.random() < 0.4:
        first, second = someone(rng), rng.choice((object_pronoun, named))(rng)
        fitting = [a for a in ADJECTIVE_LIST if "person" in a.tags and a.comparative]
    else:
        noun = rng.choice([n for n in NOUNS if any(a.comparative for a in adjectives(n))])
        other = rng.choice([n for n in NOUNS if n.tags == noun.tags])
        kinds = "own" if other is noun else "this own bare"
        first, second = (noun_phrase(rng, n, "the", kinds) for n in (noun, other))
        fitting = [a for a in adjectives(noun) if a.comparative]
    adjective = rng.choice(fitting)
    word = entry(adjective.chinese, adjective.comparative)
    return pair([first, than, second, word], [first, en(be(first.person)), word, than, second])


def weather(rng: Random) -> Phrase:
    """今天很冷: it is cold today; 今天天气很好; 明天会下雨."""
    dice, past = rng.random(), rng.random() < 0.5
    if dice < 0.35:
        word = entry(*rng.choice((("热", "hot"), ("冷", "cold"))))
        when, link = moment(rng, "past" if past else "now", 1), zh("很")
        return pair([when, link, word], [en("it"), en(be("he", past), link), word, when])
    if dice < 0.6:
        sky, word, link = entry("天气", "weather"), entry("好", "good"), zh("很")
        when = moment(rng, "past" if past else "now", 1 if past else 0.6)
        small = en(be("he", past), link)
        return pair([when, sky, link, word], [en("the"), sky, small, word, when])
    chinese, english = rng.choice((("下雨", "rain"), ("下雪", "snow")))
    if past:
        falls, when = entry(chinese, english + "ed"), moment(rng, "past", 1)
        return pair([when, falls, zh("了")], [en("it"), falls, when])
    will, falls, when = entry("会", "will"), entry(chinese, english), moment(rng, "future", 1)
    return pair([when, will, falls], [en("it"), will, falls, when])


# Being and having ------------------------------------------------------------------------------


def is_someone(rng: Random) -> Phrase:
    """他是老师, 这是我的书."""
    link = zh("是")
    no = entry("不", "not") if rng.random() < 0.25 else NOTHING
    if rng.random() < 0.5:
        subject = someone(rng)
        what = profession(rng, subject.person)
    else:
        subject = entry(*rng.choice((("这", "this"), ("那", "that"))))
        kinds = "one own own relative"
        what = noun_phrase(rng, rng.choice(nouns(["thing", "animal", "person"])), "the", kinds)
    return pair([subject, no, link, what], [subject, en(be(subject.person), link), no, what])


def is_owned(rng: Random) -> Phrase:
    """这把锯子是我的: this saw is mine."""
    subject, link = thing(rng, "thing animal"), zh("是")
    no = entry("不", "not") if rng.random() < 0.2 else NOTHING
    pronoun = rng.choice([pronoun for pronoun in PRONOUN_LIST if pronoun.owned])
    mine, small = entry(pronoun.chinese, pronoun.owned), en(be(subject.person), link)
    return pair([subject, no, link, mine, zh("的")], [subject, small, no, mine])


def is_named(rng: Random) -> Phrase:
    """我叫小明: my name is Xiaoming."""
    pronoun, name = rng.choice(PRONOUN_LIST), entry(*rng.choice(NAME_LIST))
    mine, called = entry(pronoun.chinese, pronoun.possessive), zh("叫")
    return pair([mine, called, name], [mine, en("name is", called), name])


def profession(rng: Random, person: str) -> Phrase:
    """老师: a teacher, or teachers; 中国人: Chinese."""
    noun, dice = rng.choice(nouns(["work"])), rng.random()
    if dice < 0.1:
        return entry(*rng.choice((("中国人", "Chinese"), ("美国人", "American"))))
    if dice < 0.3 and person != "they":
        return relation(rng)
    if person == "they":
        return noun_phrase(rng, noun, "plural", "bare")
    if dice < 0.6:
        return noun_phrase(rng, noun, "plural", "one")
    noun = rng.choice([noun, *nouns(["person"])])
    quality, word = attribute(rng, noun), entry(noun.chinese, noun.singular)
    what = pair([quality, word], [quality, word])
    return pair([what], [en(article(what)), what])


def has(rng: Random) -> Phrase:
    """我有一只猫, 他没有钱."""
    subject, noun = people(rng), rng.choice(nouns(["thing", "pet", "drink", "food", "near"]))
    word = "has" if subject.person == "he" else "have"
    if rng.random() < 0.35:
        mine, no = entry("有", word), entry("没", "no")
        what = noun_phrase(rng, noun, "plural", "bare")
        return pair([subject, no, mine, what], [subject, mine, no, what])
    mine, what = entry("有", word), noun_phrase(rng, noun, "plural", "one number many bare")
    return pair([subject, mine, what], [subject, mine, what])


def there_is(rng: Random) -> Phrase:
    """桌子上有一本书."""
    where = location(rng, NOTHING)
    noun = rng.choice(nouns(["thing", "animal", "food", "person"]))
    what = noun_phrase(rng, noun, "plural", "one number many")
    link = zh("有")
    return pair([where, link, what], [en("there"), en(be(what.person), link), what, where])


def is_somewhere(rng: Random) -> Phrase:
    """书在桌子上, 她不在家."""
    subject = people(rng) if rng.random() < 0.5 else thing(rng, "thing animal")
    no = entry("不", "not") if rng.random() < 0.25 else NOTHING
    zai = zh("在")
    where = location(rng, zai, verbal=True)
    return pair([subject, no, where], [subject, en(be(subject.person), zai), no, where])


# Moving and giving -----------------------------------------------------------------------------


def gives(rng: Random) -> Phrase:
    """他给了我一本书."""
    subject, when = people(rng), moment(rng, "past", 0.25)
    word, given = spoken(GIVE, "past", done=True), what_is_given(rng)
    return stated(rng, subject, when, [word, *given], [word, *given])


def what_is_given(rng: Random) -> list[Phrase]:
    receiver = rng.choice((object_pronoun, named))(rng)
    noun = rng.choice(nouns(["thing", "drink", "food"]))
    return [receiver, noun_phrase(rng, noun, "plural", "one number this own")]


def takes_with_ba(rng: Random) -> Phrase:
    """他把苹果吃了; 他把书放在桌子上."""
    subject, when, ba = people(rng), moment(rng, "past", 0.2), zh("把")
    if rng.random() < 0.5:
        what, put, zai = thing(rng, "thing"), entry("放", "put"), zh("在")
        tag, preposition, behind = local(rng)
        on, top = en(preposition, zai, behind), rng.choice(nouns([tag]))
        where = noun_phrase(rng, top, "the", "this own bare")
        chinese = [ba, what, put, zai, where, behind]
        return stated(rng, subject, when, chinese, [put, what, on, where])
    verb = rng.choice([verb for verb in VERBS if verb.chinese in BA_VERBS])
    noun = rng.choice(nouns(verb.objects))
    what = noun_phrase(rng, noun, "the", "this own bare")
    known = pair([what], [what], pairs=((verb.chinese, noun.chinese),))
    word = spoken(verb, "past", done=True)
    return stated(rng, subject, when, [ba, known, word], [word, known])


# Questions -------------------------------------------------------------------------------------


def asks_whether(rng: Random) -> Phrase:
    """你喜欢猫吗, 他看见了我的狗吗, 你忙吗, 他是老师吗."""
    ma, dice = zh("吗"), rng.random()
    if dice < 0.15:
        subject, adjective = quality_of(rng, rng.choice(("person", "thing")))
        word = entry(adjective.chinese, adjective.english)
        if adjective.chinese.endswith("色"):
            link = zh("是")
            return pair(
                [subject, link, word, zh("的"), ma], [en(be(subject.person), link), subject, word]
            )
        return pair([subject, word, ma], [en(be(subject.person), ma), subject, word])
    if dice < 0.25:
        subject, link = someone(rng), zh("是")
        what = profession(rng, subject.person)
        return pair([subject, link, what, ma], [en(be(subject.person), link), subject, what])
    if dice < 0.33:
        subject, zai = people(rng), zh("在")
        where = location(rng, zai, verbal=True)
        return pair([subject, where, ma], [en(be(subject.person), zai), subject, where])
    if dice < 0.4:
        subject, mine = people(rng), entry("有", "have")
        noun = rng.choice(nouns(["thing", "pet", "drink", "food"]))
        what = noun_phrase(rng, noun, "plural", "one number bare")
        return pair([subject, mine, what, ma], [en(do(subject.person), ma), subject, mine, what])
    return asks_about_act(rng, ma)


def asks_about_act(rng: Random, ma: Phrase) -> Phrase:
    way = rng.choice(("present", "past", "progress", "modal", "wish"))
    wanted = {"progress": "ing", "present": "base"}.get(way, "perfective")
    subject, verb, what = acting(rng, lambda verb: getattr(verb, wanted))
    base = spoken(verb, "base")
    when = moment(rng, {"past": "past", "modal": "future"}.get(way, "now"), 0.15)
    if way in ("present", "wish"):
        when = NOTHING
    start = [subject, when] if rng.random() < 0.5 else [when, subject]
    if way == "past":
        word = spoken(verb, "base", done=True)
        return pair([*start, word, what, ma], [en("did", ma), subject, word, what, when])
    if way == "progress":
        now, word = zh("正在"), spoken(verb, "ing")
        small = en(be(subject.person), now)
        return pair([*start, now, word, what, ma], [small, subject, word, what, when])
    if way == "modal":
        can = entry(*rng.choice(MODALS))
        return pair([*start, can, base, what, ma], [can, subject, base, what, when])
    small = en(do(subject.person), ma)
    if way == "wish":
        wish = entry(*rng.choice(WISHES))
        english = [small, subject, wish, en("to"), base, what]
        return pair([subject, wish, base, what, ma], english)
    return pair([subject, base, what, ma], [small, subject, base, what])


def asks_who(rng: Random) -> Phrase:
    """谁喜欢猫, 谁看见了我的书, 他是谁."""
    who = entry("谁", "who")
    if rng.random() < 0.15:
        subject, link = people(rng), zh("是")
        return pair([subject, link, who], [who, en(be(subject.person), link), subject])
    way = rng.choice(("present", "past", "modal"))
    verb, what = verb_and_object(rng)
    while way != "present" and not verb.perfective:
        verb, what = verb_and_object(rng)
    if way == "modal":
        can, word = entry(*rng.choice(MODALS)), spoken(verb, "base")
        return pair([who, can, word, what], [who, can, word, what])
    word = spoken(verb, "past", done=True) if way == "past" else spoken(verb, "third")
    when = moment(rng, "past", 0.3) if way == "past" else NOTHING
    return pair([when, who, word, what], [who, word, what, when])


def asks_what(rng: Random) -> Phrase:
    """你买了什么, 她想喝什么, 这是什么."""
    what, dice = entry("什么", "what"), rng.random()
    if dice < 0.1:
        subject, link = entry(*rng.choice((("这", "this"), ("那", "that")))), zh("是")
        return pair([subject, link, what], [what, en("is", link), subject])
    subject = people(rng)
    verbs = [verb for verb in VERBS if verb.perfective and verb.bare != "the"]
    verb = rng.choice([verb for verb in verbs if verb.base not in ("watch", "ride", "drive")])
    base, small = spoken(verb, "base"), en(do(subject.person))
    if dice < 0.4:
        word, when = spoken(verb, "base", done=True), moment(rng, "past", 0.3)
        return stated_question(rng, subject, when, [word, what], [what, en("did"), subject, word])
    if dice < 0.6:
        can, when = entry(*rng.choice(MODALS)), moment(rng, "future", 0.2)
        return stated_question(rng, subject, when, [can, base, what], [what, can, subject, base])
    if dice < 0.75:
        now, word = zh("正在"), spoken(verb, "ing")
        small = en(be(subject.person), now)
        return pair([subject, now, word, what], [what, small, subject, word])
    if dice < 0.85:
        wish = entry("想", "want")
        return pair([subject, wish, base, what], [what, small, subject, wish, en("to"), base])
    return pair([subject, base, what], [what, small, subject, base])


def stated_question(
    rng: Random, subject: Phrase, when: Phrase, middle: list[Phrase], english: list[Phrase]
) -> Phrase:
    start = [subject, when] if rng.random() < 0.5 else [when, subject]
    return pair([*start, *middle], [*english, when])


def asks_where_or_why(rng: Random) -> Phrase:
    """书在哪里, 你在哪里买了这本书, 她为什么哭."""
    dice = rng.random()
    if dice < 0.4:
        where, zai = entry("哪里", "where"), zh("在")
        subject = people(rng) if rng.random() < 0.5 else thing(rng, "thing animal")
        return pair([subject, zai, where], [where, en(be(subject.person), zai), subject])
    subject, verb, what = acting(rng, lambda verb: verb.perfective, KNOWN)
    word, did = spoken(verb, "base", done=True), en("did")
    if dice < 0.6 and verb is not GO and verb.base not in ("go home", "leave", "come"):
        where = entry("哪里", "where")
        return pair([subject, zh("在"), where, word, what], [where, did, subject, word, what])
    why = entry("为什么", "why")
    if dice < 0.8:
        base = spoken(verb, "base")
        return pair([subject, why, base, what], [why, en(do(subject.person)), subject, base, what])
    return pair([subject, why, word, what], [why, did, subject, word, what])


def asks_how(rng: Random) -> Phrase:
    """你妈妈好吗, 这本书多少钱."""
    if rng.random() < 0.5:
        subject, how = people(rng), zh("好吗")
        return pair([subject, how], [en("how", how), en(be(subject.person)), subject])
    subject, much = thing(rng, "thing"), zh("多少钱")
    return pair([subject, much], [en("how much", much), en(be(subject.person)), subject])
