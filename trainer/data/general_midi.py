"""General MIDI level 1 in words: what its sounds are called, in English and Chinese. No torch.

One line a sound: its name, its Chinese name, the notes that suit it (MIDI numbers, from-to; none
for drums), and other words people use, English before the bar, Chinese after it. The order is the
standard's: line i of a family is the program after line i - 1, drums begin with key 35. Names after
the General MIDI sound set (midi.org); translations and other words are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

FIRST_DRUM_KEY = 35
DRUM_FAMILY = "Drum Kit"

MELODIC = """
# Piano; 钢琴; keyboard, keys | 键盘
Acoustic Grand Piano; 大钢琴; 48-72; grand piano, piano, concert grand | 原声钢琴, 三角钢琴
Bright Acoustic Piano; 明亮钢琴; 48-72; bright piano | 亮音钢琴
Electric Grand Piano; 电三角钢琴; 48-72; electric piano | 电钢琴
Honky-tonk Piano; 酒吧钢琴; 48-72; saloon piano, honky tonk | 走音钢琴
Electric Piano 1; 电钢琴1; 48-72; rhodes, electric piano | 电钢琴
Electric Piano 2; 电钢琴2; 48-72; fm piano, electric piano | 电钢琴
Harpsichord; 羽管键琴; 48-72; cembalo, baroque keyboard | 大键琴, 古钢琴
Clavinet; 击弦古钢琴; 43-67; clav, funk keyboard | 克拉维内特
# Chromatic Percussion; 色彩打击乐; mallet, tuned percussion | 有音高打击乐
Celesta; 钢片琴; 60-84; celeste | 天音琴
Glockenspiel; 钟琴; 67-88; bells | 铝板钟琴
Music Box; 八音盒; 60-84; musical box | 音乐盒
Vibraphone; 颤音琴; 53-77; vibes | 电颤琴
Marimba; 马林巴; 45-69; wooden bars | 马林巴琴
Xylophone; 木琴; 60-84; wood bars | 木片琴
Tubular Bells; 管钟; 55-72; church bell, chimes, bell | 钟声, 教堂钟
Dulcimer; 扬琴; 48-72; hammered dulcimer, santur | 洋琴
# Organ; 风琴; organ keyboard | 管风琴
Drawbar Organ; 拉杆风琴; 48-72; hammond organ, jazz organ | 电风琴
Percussive Organ; 敲击风琴; 48-72; click organ | 打击风琴
Rock Organ; 摇滚风琴; 48-72; leslie organ | 摇滚电风琴
Church Organ; 教堂管风琴; 43-72; pipe organ, cathedral | 管风琴
Reed Organ; 簧风琴; 48-72; harmonium | 脚踏风琴
Accordion; 手风琴; 53-77; squeezebox | 巴扬
Harmonica; 口琴; 60-79; mouth organ, blues harp | 布鲁斯口琴
Tango Accordion; 探戈手风琴; 53-77; bandoneon | 班多钮手风琴
# Guitar; 吉他; six strings | 吉它
Nylon Guitar; 尼龙弦吉他; 43-67; classical guitar, spanish guitar, acoustic guitar | 古典吉他
Steel Guitar; 钢弦吉他; 43-67; folk guitar, acoustic guitar | 民谣吉他, 木吉他
Jazz Guitar; 爵士吉他; 43-67; hollow body guitar | 爵士电吉他
Clean Guitar; 清音电吉他; 43-67; clean electric guitar, electric guitar | 电吉他
Muted Guitar; 闷音吉他; 43-67; palm mute | 闷音电吉他
Overdriven Guitar; 过载吉他; 40-64; rock guitar, electric guitar | 摇滚吉他, 电吉他
Distortion Guitar; 失真吉他; 40-64; metal guitar, heavy guitar, electric guitar | 重金属吉他
Guitar Harmonics; 吉他泛音; 52-76; flageolet | 泛音
# Bass; 贝斯; bass guitar, low strings | 低音吉他, 贝司
Acoustic Bass; 原声贝斯; 36-52; upright bass, double bass pizzicato | 立式贝斯
Fingered Bass; 指弹贝斯; 36-52; electric bass, finger bass | 电贝斯
Picked Bass; 拨片贝斯; 36-52; pick bass | 拨弦贝斯
Fretless Bass; 无品贝斯; 36-52; slide bass | 无品电贝斯
Slap Bass 1; 击弦贝斯1; 36-52; slap bass, funk bass | 拍击贝斯
Slap Bass 2; 击弦贝斯2; 36-52; slap bass, pop bass | 拍击贝斯
Synth Bass 1; 合成贝斯1; 36-52; synthesizer bass, acid bass | 合成器贝斯
Synth Bass 2; 合成贝斯2; 36-52; synthesizer bass, sub bass | 合成器贝斯
# Strings; 弦乐; bowed strings, string | 弦乐器, 提琴
Violin; 小提琴; 57-81; fiddle strings | 提琴
Viola; 中提琴; 50-74; alto violin | 提琴
Cello; 大提琴; 40-64; violoncello | 提琴
Contrabass; 低音提琴; 36-55; double bass, bowed bass | 倍大提琴
Tremolo Strings; 震音弦乐; 50-74; tremolo, suspense strings | 弦乐震音
Pizzicato Strings; 拨奏弦乐; 48-72; pizzicato, plucked strings | 弦乐拨奏
Orchestral Harp; 竖琴; 48-76; harp | 管弦乐竖琴
Timpani; 定音鼓; 36-53; kettledrum | 铜鼓
# Ensemble; 合奏; ensemble, orchestra, choir | 乐团, 管弦乐
String Ensemble 1; 弦乐合奏1; 48-74; string section, orchestra strings | 弦乐团
String Ensemble 2; 弦乐合奏2; 48-74; slow strings | 慢弦乐
Synth Strings 1; 合成弦乐1; 48-74; synthesizer strings, synth strings | 合成器弦乐
Synth Strings 2; 合成弦乐2; 48-74; soft synth strings | 合成器弦乐
Choir Aahs; 合唱啊; 48-72; choir, aah, singing, voices | 合唱, 人声, 唱诗班
Voice Oohs; 人声呜; 48-72; ooh, humming, voice | 人声, 哼唱
Synth Voice; 合成人声; 48-72; vocoder, synth vox | 合成嗓音
Orchestra Hit; 管弦乐齐奏; 48-67; orchestral hit, stab | 乐队重击
# Brass; 铜管; horns, brass instrument | 铜管乐器
Trumpet; 小号; 55-77; cornet, bugle | 小喇叭
Trombone; 长号; 43-67; slide trombone | 伸缩号
Tuba; 大号; 36-55; sousaphone | 低音号
Muted Trumpet; 弱音小号; 55-77; harmon mute | 加弱音器小号
French Horn; 圆号; 45-69; horn | 法国号
Brass Section; 铜管组; 48-72; big band brass, fanfare | 铜管合奏
Synth Brass 1; 合成铜管1; 48-72; synthesizer brass | 合成器铜管
Synth Brass 2; 合成铜管2; 48-72; soft synth brass | 合成器铜管
# Reed; 簧管; woodwind, reed instrument | 木管, 木管乐器
Soprano Sax; 高音萨克斯; 57-79; saxophone, soprano saxophone | 萨克斯, 萨克斯管
Alto Sax; 中音萨克斯; 50-74; saxophone, alto saxophone | 萨克斯, 萨克斯管
Tenor Sax; 次中音萨克斯; 45-69; saxophone, tenor saxophone | 萨克斯, 萨克斯管
Baritone Sax; 上低音萨克斯; 38-60; saxophone, bari sax | 萨克斯, 萨克斯管
Oboe; 双簧管; 58-81; hautbois | 欧巴
English Horn; 英国管; 52-74; cor anglais | 英国号
Bassoon; 巴松管; 38-62; fagott | 大管, 低音管
Clarinet; 单簧管; 52-76; b flat clarinet | 黑管
# Pipe; 笛管; pipe, wind instrument | 管乐, 笛
Piccolo; 短笛; 72-88; small flute | 小长笛
Flute; 长笛; 60-84; concert flute | 笛子
Recorder; 竖笛; 60-84; block flute | 直笛
Pan Flute; 排箫; 60-84; panpipes, pan pipe | 潘笛
Blown Bottle; 吹瓶; 60-79; bottle blow | 瓶子
Shakuhachi; 尺八; 57-79; bamboo flute, japanese flute | 竹笛
Whistle; 口哨; 67-88; whistling | 吹口哨, 哨声
Ocarina; 陶笛; 62-84; clay flute | 奥卡利那笛
# Synth Lead; 合成主音; lead, synthesizer, synth | 合成器, 合成音
Square Lead; 方波主音; 55-79; chiptune, 8 bit, square wave | 方波, 芯片音乐
Sawtooth Lead; 锯齿波主音; 55-79; saw wave, saw lead | 锯齿波
Calliope Lead; 汽笛风琴主音; 55-79; calliope | 蒸汽风琴
Chiff Lead; 吹管主音; 55-79; chiff | 气声主音
Charang Lead; 吉他主音; 52-76; charang, synth guitar | 恰朗
Voice Lead; 人声主音; 55-79; vocal lead | 嗓音主音
Fifths Lead; 五度主音; 52-76; power fifths | 平行五度
Bass and Lead; 贝斯加主音; 43-67; bass lead | 低音主音
# Synth Pad; 合成铺底; pad, ambient, atmosphere | 铺底, 背景音
New Age Pad; 新世纪铺底; 48-74; new age, fantasia | 幻想
Warm Pad; 温暖铺底; 48-74; warm, analog pad | 暖音
Polysynth Pad; 复音合成铺底; 48-74; polysynth | 复音合成器
Choir Pad; 合唱铺底; 48-74; space choir, heaven | 太空合唱
Bowed Pad; 弓弦铺底; 48-74; bowed glass | 弓奏玻璃
Metallic Pad; 金属铺底; 48-74; metal pad | 金属音色
Halo Pad; 光环铺底; 48-74; halo, angelic | 天使
Sweep Pad; 扫频铺底; 48-74; filter sweep, sweep | 扫频
# Synth Effects; 合成效果; synth effect, fx | 音效, 特效
Rain; 雨声合成; 52-76; ice rain, raindrops | 雨滴, 下雨
Soundtrack; 电影配乐; 48-72; movie, cinematic | 电影, 原声带
Crystal; 水晶; 60-84; sparkle, glass | 玻璃, 闪亮
Atmosphere; 大气; 48-74; ambience | 氛围
Brightness; 明亮; 52-76; bright synth | 光明
Goblins; 鬼怪; 48-72; ghost, monster, spooky, scary | 幽灵, 恐怖, 妖怪
Echoes; 回声; 52-76; echo drops, echo | 回音
Sci-fi; 科幻; 52-76; star theme, space, alien, spaceship | 太空, 外星, 宇宙
# Ethnic; 民族乐器; folk instrument, world music | 民乐, 世界音乐
Sitar; 西塔尔琴; 48-72; indian sitar, india | 印度琴
Banjo; 班卓琴; 50-74; country banjo | 五弦琴
Shamisen; 三味线; 50-74; japanese lute | 日本三弦
Koto; 日本筝; 50-74; japanese zither, guzheng | 古筝, 筝
Kalimba; 卡林巴; 55-79; thumb piano, mbira | 拇指琴
Bagpipe; 风笛; 55-74; bagpipes, scottish pipes | 苏格兰风笛
Fiddle; 民间小提琴; 57-81; folk violin, country fiddle | 乡村提琴
Shanai; 唢呐; 55-77; shehnai, suona | 印度唢呐
# Percussive; 打击乐; percussion, tuned drum | 打击乐器, 敲击
Tinkle Bell; 叮当铃; 67-86; sleigh bell, jingle, bell | 铃铛, 铃声
Agogo; 阿哥哥铃; 60-79; agogo bell | 双铃
Steel Drums; 钢鼓; 55-77; steel pan, caribbean | 加勒比钢鼓
Woodblock; 木鱼; 55-79; temple block, wood knock | 木块
Taiko Drum; 太鼓; 38-55; japanese drum, big drum | 日本大鼓, 大鼓
Melodic Tom; 旋律嗵鼓; 40-60; tuned tom, tom drum | 通鼓
Synth Drum; 合成鼓; 40-64; electronic drum, disco tom | 电子鼓
Reverse Cymbal; 反向镲; 48-72; reversed cymbal, swell | 倒放镲
# Sound Effects; 音效; noise, sound effect | 声效, 噪音
Guitar Fret Noise; 吉他滑弦声; 48-72; fret squeak, string slide | 滑弦
Breath Noise; 呼吸声; 48-72; breath, breathing | 喘气
Seashore; 海浪; 48-72; sea, ocean, waves, beach, wind | 海边, 大海, 风声
Bird Tweet; 鸟鸣; 48-72; bird, birds, chirp, tweet | 鸟叫, 小鸟
Telephone Ring; 电话铃; 55-72; telephone, phone, ringtone | 电话, 手机铃声
Helicopter; 直升机; 48-72; chopper, rotor, engine | 飞机, 引擎
Applause; 掌声; 48-72; clapping, crowd, cheer, audience | 鼓掌, 欢呼
Gunshot; 枪声; 48-72; gun, shot, explosion, bang | 开枪, 爆炸, 砰
"""

DRUMS = """
Acoustic Bass Drum; 原声低音鼓; bass drum, kick, kick drum | 底鼓, 大鼓, 低鼓
Bass Drum 1; 底鼓; bass drum, kick, kick drum | 大鼓, 低音鼓
Side Stick; 鼓边敲击; rimshot, rim, cross stick | 边击
Acoustic Snare; 军鼓; snare, snare drum | 小军鼓, 小鼓
Hand Clap; 拍手; clap, claps | 拍掌, 击掌
Electric Snare; 电子军鼓; snare, snare drum, electronic snare | 军鼓, 小鼓
Low Floor Tom; 低音落地嗵鼓; floor tom, tom, tom tom | 落地鼓, 嗵鼓
Closed Hi-Hat; 闭合踩镲; hi hat, hihat, closed hat, hat | 踩镲, 闭镲
High Floor Tom; 高音落地嗵鼓; floor tom, tom, tom tom | 落地鼓, 嗵鼓
Pedal Hi-Hat; 脚踩镲; hi hat, hihat, foot hat, hat | 踩镲
Low Tom; 低音嗵鼓; tom, tom tom | 嗵鼓, 桶鼓
Open Hi-Hat; 开放踩镲; hi hat, hihat, open hat, hat | 踩镲, 开镲
Low-Mid Tom; 中低音嗵鼓; mid tom, tom, tom tom | 嗵鼓, 桶鼓
Hi-Mid Tom; 中高音嗵鼓; mid tom, tom, tom tom | 嗵鼓, 桶鼓
Crash Cymbal 1; 碎音镲1; crash, cymbal, crash cymbal | 吊镲, 镲
High Tom; 高音嗵鼓; tom, tom tom | 嗵鼓, 桶鼓
Ride Cymbal 1; 叮叮镲1; ride, cymbal, ride cymbal | 节奏镲, 镲
Chinese Cymbal; 中国镲; china cymbal, cymbal | 中国钹, 镲
Ride Bell; 镲帽; ride bell, cymbal bell | 铃镲
Tambourine; 铃鼓; jingles | 手铃鼓
Splash Cymbal; 水镲; splash, cymbal | 溅音镲, 镲
Cowbell; 牛铃; bell | 颈铃
Crash Cymbal 2; 碎音镲2; crash, cymbal, crash cymbal | 吊镲, 镲
Vibraslap; 颤击器; rattle, jawbone | 振音器
Ride Cymbal 2; 叮叮镲2; ride, cymbal, ride cymbal | 节奏镲, 镲
Hi Bongo; 高音邦戈鼓; bongo, bongos | 邦戈, 小手鼓
Low Bongo; 低音邦戈鼓; bongo, bongos | 邦戈, 小手鼓
Mute Hi Conga; 闷音康加鼓; conga, congas, muted conga | 康加, 手鼓
Open Hi Conga; 开音康加鼓; conga, congas | 康加, 手鼓
Low Conga; 低音康加鼓; conga, congas | 康加, 手鼓
High Timbale; 高音天巴鼓; timbale, timbales | 天巴鼓
Low Timbale; 低音天巴鼓; timbale, timbales | 天巴鼓
High Agogo; 高音阿哥哥铃; agogo, agogo bell | 阿哥哥
Low Agogo; 低音阿哥哥铃; agogo, agogo bell | 阿哥哥
Cabasa; 卡巴萨; shekere, shaker | 沙筒
Maracas; 沙锤; maraca, shaker | 沙槌, 砂槌
Short Whistle; 短哨; samba whistle, referee whistle | 哨子
Long Whistle; 长哨; samba whistle, referee whistle | 哨子
Short Guiro; 短刮瓜; guiro, scraper | 刮瓜
Long Guiro; 长刮瓜; guiro, scraper | 刮瓜
Claves; 响棒; sticks, clave | 击棒
Hi Wood Block; 高音木鱼; wood block, woodblock | 木鱼
Low Wood Block; 低音木鱼; wood block, woodblock | 木鱼
Mute Cuica; 闷音库伊卡; cuica | 库伊卡鼓
Open Cuica; 开音库伊卡; cuica | 库伊卡鼓
Mute Triangle; 闷音三角铁; triangle | 三角铁
Open Triangle; 开音三角铁; triangle | 三角铁
"""

KITS = {  # drum kit program -> what it is called; 1 + its place is its number in labels
    0: ("standard kit", "标准鼓组"),
    8: ("room kit", "房间鼓组"),
    16: ("power kit", "强力鼓组"),
    24: ("electronic kit", "电子鼓组"),
    25: ("808 kit", "808鼓机"),
    32: ("jazz kit", "爵士鼓组"),
    40: ("brush kit", "鼓刷鼓组"),
    48: ("orchestra kit", "管弦乐鼓组"),
}


@dataclass(frozen=True, slots=True)
class Sound:
    """One line of the tables. `number` is a program (0-127), or the key of a drum (35-81)."""

    name: str
    family: str
    number: int
    is_drum: bool
    low: int  # the notes that suit it, as MIDI numbers; 0 for drums
    high: int
    captions: dict[str, list[str]]  # language -> [name, other words ..., family]


def sounds() -> list[Sound]:
    """All 128 programs and 47 drums."""
    drums = [f"{line}" for line in DRUMS.strip().splitlines()]
    return [*_melodic(), *(_drum(line, FIRST_DRUM_KEY + i) for i, line in enumerate(drums))]


def _melodic() -> Iterator[Sound]:
    family, family_zh, family_words, program = "", "", "", 0
    for line in MELODIC.strip().splitlines():
        if line.startswith("#"):
            family, family_zh, family_words = (part.strip() for part in line[1:].split(";"))
            continue
        name, chinese, notes, words = (part.strip() for part in line.split(";"))
        low, high = (int(note) for note in notes.split("-"))
        captions = _captions(name, chinese, words, family, family_zh, family_words)
        yield Sound(name, family, program, False, low, high, captions)
        program += 1


def _drum(line: str, key: int) -> Sound:
    name, chinese, words = (part.strip() for part in line.split(";"))
    captions = _captions(name, chinese, words, "drum", "鼓", "drums, percussion | 打击乐, 架子鼓")
    return Sound(name, DRUM_FAMILY, key, True, 0, 0, captions)


def _captions(
    name: str, chinese: str, words: str, family: str, family_zh: str, family_words: str
) -> dict[str, list[str]]:
    english, _, other = words.partition("|")
    english_too, _, other_too = family_words.partition("|")
    return {
        "en": _unique(name.lower(), english, family.lower(), english_too),
        "zh": _unique(chinese, other, family_zh, other_too),
    }


def _unique(*lists: str) -> list[str]:
    words = [word.strip() for words in lists for word in words.split(",")]
    return list(dict.fromkeys(word for word in words if word))
