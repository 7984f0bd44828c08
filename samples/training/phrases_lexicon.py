"""The words of the phrase grammar: Chinese on the left, English on the right, one entry a line."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Noun:
    chinese: str
    singular: str
    plural: str
    """The singular again for what is not counted by itself: tea, bread."""
    measure: str
    amount: tuple[str, str] = ("", "")
    """What the measure word becomes for these: cup and cups in 一杯茶, 两杯茶."""
    tags: frozenset[str] = field(default_factory=frozenset)

    @property
    def counted(self) -> bool:
        return not self.amount[0]


@dataclass(frozen=True)
class Verb:
    chinese: str
    base: str
    past: str
    ing: str
    perfective: str
    """The verb with 了, which stands inside some: 游泳, 游了泳. Empty for a state."""
    objects: frozenset[str] = field(default_factory=frozenset)
    """Tags of the nouns it takes."""
    bare: str = "plural"
    """A bare object in English: 喜欢猫 is like cats, 看见猫 is see the cat."""

    @property
    def third(self) -> str:
        first, _, rest = self.base.partition(" ")
        return f"{'has' if first == 'have' else with_s(first)} {rest}".strip()

    def form(self, name: str) -> str:
        return {"base": self.base, "third": self.third, "past": self.past, "ing": self.ing}[name]


@dataclass(frozen=True)
class Adjective:
    chinese: str
    english: str
    comparative: str
    """Empty if it is not compared."""
    tags: frozenset[str]
    """Tags of the nouns it fits."""
    joint: str = "的"
    """What joins it to a noun: 漂亮的猫, but 大猫."""


@dataclass(frozen=True)
class Pronoun:
    chinese: str
    subject: str
    object: str
    possessive: str
    owned: str
    """The possessive without a noun: mine."""
    person: str
    """I, he or they: what the verb agrees with."""


@dataclass(frozen=True)
class Place:
    chinese: str
    there: str
    """Where one is: at school."""
    to: str
    """Where one goes: to school."""


def with_s(word: str) -> str:
    """A plural, or the third person of a verb."""
    if word.endswith(("s", "x", "ch", "sh", "potato", "tomato")) or word in ("go", "do"):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def _rows(table: str) -> list[list[str]]:
    lines = [line for line in table.strip().splitlines() if line]
    return [[cell.strip() for cell in line.split(",")] for line in lines]


def _noun(row: list[str]) -> Noun:
    chinese, english, measure, tags = row
    singular, _, plural = english.partition("/")
    return Noun(
        chinese, singular, plural or with_s(singular), measure, tags=frozenset(tags.split())
    )


def _mass(row: list[str]) -> Noun:
    chinese, english, measure, amount, tags = row
    amounts = (amount, with_s(amount))
    return Noun(chinese, english, english, measure, amounts, frozenset(tags.split()))


def _verb(row: list[str]) -> Verb:
    chinese, base, past, ing, perfective, objects, *bare = row
    done = perfective.replace("+", chinese + "了")
    return Verb(chinese, base, past, ing, done, frozenset(objects.split()), *bare)


def _adjective(row: list[str]) -> Adjective:
    chinese, english, comparative, tags, *joint = row
    return Adjective(chinese, english, comparative, frozenset(tags.split()), *joint)


# Chinese, English (/plural where it is irregular), measure word, what it is or serves for.
COUNTED = """
书, book, 本, thing read write on
词典, dictionary, 本, thing read
小说, novel, 本, thing read write
报纸, newspaper, 份, thing read
信, letter, 封, thing read write open
故事, story, 个, read write hear
地图, map, 张, thing read draw
电影, film, 部, watch
比赛, match, 场, watch
歌, song, 首, hear write sing
苹果, apple, 个, thing food fruit
香蕉, banana, 根, thing food fruit
橙子, orange, 个, thing food fruit
西瓜, watermelon, 个, thing food fruit cut
土豆, potato, 个, thing food cut wash
西红柿, tomato, 个, thing food fruit cut wash
鸡蛋, egg, 个, thing food
三明治, sandwich, 个, thing food make
饺子, dumpling, 个, thing food make
猫, cat, 只, animal pet draw
狗, dog, 只, animal pet draw
鸟, bird, 只, animal pet draw
兔子, rabbit, 只, animal pet draw
鸡, chicken, 只, animal pet
马, horse, 匹, animal pet ride draw
牛, cow, 头, animal pet
羊, sheep/sheep, 只, animal pet
猴子, monkey, 只, animal draw
老虎, tiger, 只, animal draw
大象, elephant, 头, animal draw
熊猫, panda, 只, animal draw
老鼠, mouse/mice, 只, animal draw
鱼, fish/fish, 条, animal food pet draw
老师, teacher, 个, person work
学生, student, 个, person work
医生, doctor, 个, person work
护士, nurse, 个, person work
司机, driver, 个, person work
作家, writer, 个, person work
工人, worker, 个, person work
农民, farmer, 个, person work
朋友, friend, 个, person near
客人, guest, 个, person
孩子, child/children, 个, person near
男孩, boy, 个, person
女孩, girl, 个, person
男人, man/men, 个, person
女人, woman/women, 个, person
人, person/people, 个, person
锯子, saw, 把, thing tool
椅子, chair, 把, thing on under
雨伞, umbrella, 把, thing
刀, knife/knives, 把, thing tool wash
钥匙, key, 把, thing
吉他, guitar, 把, thing play
钢琴, piano, 架, thing play
桌子, table, 张, thing on under wash
床, bed, 张, thing on under
照片, photo, 张, thing
票, ticket, 张, thing
画, picture, 幅, thing draw
笔, pen, 支, thing
铅笔, pencil, 支, thing
杯子, cup, 个, thing wash in
瓶子, bottle, 个, thing wash in open
碗, bowl, 个, thing wash in
盘子, plate, 个, thing wash on
盒子, box, 个, thing in open on
书包, schoolbag, 个, thing in open
礼物, gift, 个, thing open
球, ball, 个, thing
手机, phone, 部, thing mend
电脑, computer, 台, thing mend
手表, watch/watches, 块, thing mend
帽子, hat, 顶, thing wash
衬衫, shirt, 件, thing wash clothes
毛衣, sweater, 件, thing wash clothes
裙子, skirt, 条, thing wash clothes
门, door, 扇, open close mend
窗户, window, 扇, open close mend wash
车, car, 辆, thing drive mend wash in
自行车, bicycle, 辆, thing ride mend wash
出租车, taxi, 辆, drive in
船, boat, 条, thing mend draw
桥, bridge, 座, draw sight
房子, house, 座, thing draw in
山, mountain, 座, draw sight
河, river, 条, draw sight
树, tree, 棵, thing draw under plant
花, flower, 朵, thing draw plant
"""

# The same with what the measure word becomes.
MASS = """
茶, tea, 杯, cup, drink
咖啡, coffee, 杯, cup, drink
水, water, 杯, glass, drink
牛奶, milk, 杯, glass, drink
果汁, juice, 杯, glass, drink
啤酒, beer, 瓶, bottle, drink
面包, bread, 块, piece, food cut
蛋糕, cake, 块, piece, food cut make
肉, meat, 块, piece, food cut
米饭, rice, 碗, bowl, food
面条, noodles, 碗, bowl, food make
汤, soup, 碗, bowl, drink make
"""

# Chinese, base, past, -ing, with 了 (+ is the verb and then 了), objects, bare object.
TRANSITIVE = """
看见, see, saw, , +, thing animal person sight, the
找到, find, found, , +, thing animal person, the
丢, lose, lost, , +, thing, the
拿, take, took, taking, +, thing, the
带, bring, brought, bringing, +, thing food drink, the
打开, open, opened, opening, +, open, the
关上, close, closed, closing, +, close, the
洗, wash, washed, washing, +, wash fruit clothes, the
修, repair, repaired, repairing, +, mend, the
追, chase, chased, chasing, +, animal, the
等, wait for, waited for, waiting for, +, person, the
帮助, help, helped, helping, +, person, the
问, ask, asked, asking, +, person, the
喂, feed, fed, feeding, +, pet, the
切, cut, cut, cutting, +, cut, the
认识, know, knew, , , person, the
喜欢, like, liked, , , person thing animal food drink read watch hear
爱, love, loved, , , person animal
需要, need, needed, , , person thing drink
想要, want, wanted, , , thing food drink
买, buy, bought, buying, +, thing food drink pet
卖, sell, sold, selling, +, thing food drink pet
吃, eat, ate, eating, +, food
喝, drink, drank, drinking, +, drink
看, read, read, reading, +, read
看, watch, watched, watching, +, watch
写, write, wrote, writing, +, write
画, paint, painted, painting, +, draw
听, listen to, listened to, listening to, +, hear
唱, sing, sang, singing, +, sing
做, make, made, making, +, make
骑, ride, rode, riding, +, ride
开, drive, drove, driving, +, drive
弹, play, played, playing, +, play, the
种, plant, planted, planting, +, plant
借, borrow, borrowed, borrowing, +, thing read
"""

INTRANSITIVE = """
睡觉, sleep, slept, sleeping, ,
游泳, swim, swam, swimming, 游了泳,
跑步, run, ran, running, 跑了步,
唱歌, sing, sang, singing, 唱了歌,
跳舞, dance, danced, dancing, 跳了舞,
说话, talk, talked, talking, 说了话,
做饭, cook, cooked, cooking, 做了饭,
吃饭, eat, ate, eating, 吃了饭,
工作, work, worked, working, +,
学习, study, studied, studying, +,
休息, rest, rested, resting, +,
哭, cry, cried, crying, +,
笑, laugh, laughed, laughing, +,
来, come, came, , +,
走, leave, left, , +,
回家, go home, went home, , +,
起床, get up, got up, , +,
"""

# Chinese, English, comparative, what it fits, joint to the noun if that is not 的 (- for none).
ADJECTIVES = """
好, good, better, thing food drink read watch hear work, -
大, big, bigger, thing animal food sight, -
小, small, smaller, thing animal food, -
新, new, newer, thing read watch hear work, -
旧, old, older, thing read, -
老, old, older, person animal, -
长, long, longer, read watch hear
贵, expensive, more expensive, thing
便宜, cheap, cheaper, thing
漂亮, beautiful, more beautiful, thing animal sight
有趣, interesting, more interesting, read watch hear
重, heavy, heavier, thing
干净, clean, cleaner, thing clothes
脏, dirty, dirtier, thing clothes
红色, red, , thing clothes
蓝色, blue, , thing clothes
绿色, green, , thing clothes
白色, white, , thing clothes animal
黑色, black, , thing clothes animal
黄色, yellow, , thing clothes
高, tall, taller, person
忙, busy, busier, person
累, tired, , person animal
高兴, happy, happier, person
饿, hungry, hungrier, person animal
年轻, young, younger, person
聪明, smart, smarter, person animal
友好, friendly, friendlier, person
可爱, cute, cuter, animal
有名, famous, more famous, person read
难过, sad, sadder, person
好吃, delicious, , food
好喝, tasty, , drink
热, hot, hotter, drink
冷, cold, colder, drink
"""

PRONOUNS = """
我, I, me, my, mine, I
你, you, you, your, yours, they
您, you, you, your, yours, they
他, he, him, his, his, he
她, she, her, her, hers, he
它, it, it, its, , he
我们, we, us, our, ours, they
你们, you, you, your, yours, they
他们, they, them, their, theirs, they
她们, they, them, their, theirs, they
"""

NAMES = """
小明, Xiaoming
小红, Xiaohong
李明, Li Ming
王芳, Wang Fang
玛丽, Mary
汤姆, Tom
安娜, Anna
约翰, John
杰克, Jack
"""

# Chinese, alone, after my.
KIN = """
妈妈, Mom, mother
爸爸, Dad, father
哥哥, , older brother
弟弟, , younger brother
姐姐, , older sister
妹妹, , younger sister
爷爷, Grandpa, grandfather
奶奶, Grandma, grandmother
"""

PLACES = """
学校, at school, to school
家, at home, home
公园, in the park, to the park
图书馆, in the library, to the library
商店, in the shop, to the shop
医院, in the hospital, to the hospital
饭馆, in the restaurant, to the restaurant
办公室, in the office, to the office
车站, at the station, to the station
厕所, in the bathroom, to the bathroom
机场, at the airport, to the airport
海边, at the seaside, to the seaside
北京, in Beijing, to Beijing
上海, in Shanghai, to Shanghai
中国, in China, to China
"""

# Chinese, English, and the characters that the words come from, word by word.
PAST_TIMES = """
昨天, yesterday, 昨天
昨天晚上, last night, 昨天 晚上
今天早上, this morning, 今天 早上
上个星期, last week, 上个 星期
去年, last year, 去 年
"""
FUTURE_TIMES = """
明天, tomorrow, 明天
明天早上, tomorrow morning, 明天 早上
今天晚上, tonight, 今天晚上
下个星期, next week, 下个 星期
明年, next year, 明 年
"""
PRESENT_TIMES = """
每天, every day, 每 天
每天早上, every morning, 每天 早上
每天晚上, every evening, 每天 晚上
"""
NOW = """
今天, today, 今天
现在, now, 现在
"""

# Whole phrases; - for a word with no counterpart.
SET_PHRASES = """
好, Good, 好
很好, Very good, 很 好
好的, Okay, 好的
早上好, Good morning, 好 早上
早安, Good morning, 安 早
下午好, Good afternoon, 好 下午
晚上好, Good evening, 好 晚上
晚安, Good night, 安 晚
你好, Hello, 你好
您好, Hello, 您好
你们好, Hello everyone, 好 你们
大家好, Hello everyone, 好 大家
再见, Goodbye, 再见
明天见, See you tomorrow, 见 - 明天
谢谢, Thank you, 谢谢 谢谢
谢谢你, Thank you, 谢谢 你
谢谢您, Thank you, 谢谢 您
不客气, You are welcome, 不客气 不客气 不客气
对不起, Sorry, 对不起
没关系, It does not matter, - - 没 关系
请坐, Please sit down, 请 坐 坐
请看, Please look, 请 看
请进, Please come in, 请 进 进
请听, Please listen, 请 听
请等一下, Please wait a moment, 请 等 一下 一下
是, Yes, 是
对, Right, 对
不, No, 不
不是, No, 不是
不好, Not good, 不 好
太好了, Great, 太好了
我爱你, I love you, 我 爱 你
生日快乐, Happy birthday, 快乐 生日
新年快乐, Happy New Year, 快乐 新 年
欢迎, Welcome, 欢迎
加油, Come on, 加油 加油
好吗？, Okay?, 好吗 ？
你好吗？, How are you?, 好吗 - 你 ？
你叫什么名字？, What is your name?, 什么 叫 你 名字 ？
多少钱？, How much is it?, 多少 多少钱 - - ？
现在几点？, What time is it now?, 几 点 - - 现在 ？
"""

NOUNS = tuple([_noun(row) for row in _rows(COUNTED)] + [_mass(row) for row in _rows(MASS)])
VERBS = tuple(_verb(row) for row in _rows(TRANSITIVE))
ACTS = tuple(_verb(row) for row in _rows(INTRANSITIVE))
ADJECTIVE_LIST = tuple(_adjective(row) for row in _rows(ADJECTIVES))
PRONOUN_LIST = tuple(Pronoun(*row) for row in _rows(PRONOUNS))
NAME_LIST = tuple((row[0], row[1]) for row in _rows(NAMES))
KIN_LIST = tuple((row[0], row[1], row[2]) for row in _rows(KIN))
PLACE_LIST = tuple(Place(*row) for row in _rows(PLACES))
SET_LIST = tuple((row[0], row[1], row[2]) for row in _rows(SET_PHRASES))
TIMES = {
    name: tuple((row[0], row[1], row[2]) for row in _rows(table))
    for name, table in (
        ("past", PAST_TIMES),
        ("future", FUTURE_TIMES),
        ("present", PRESENT_TIMES),
        ("now", NOW),
    )
}
NUMBERS = tuple(
    zip(
        "两三四五六七八九十",
        ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"],
        strict=True,
    )
)
