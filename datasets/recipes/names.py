"""Patterns of people's names and postal addresses, Chinese and English, by their context.

A rule sees words, not meaning: a Chinese name needs a label (姓名：), or a surname of the list with
a word that names (我叫, a title), an English one a title, such a word, or a first name of the list
before a surname. An address needs a street and a number. What is written otherwise is not found.
"""

import re

_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘蒋蔡余杜叶程苏魏吕丁任沈"
    "姚卢姜崔钟谭陆汪范石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
    "温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟殷詹申欧耿关兰焦俞左柳甘祝包宁尚符舒阮纪梅童凌毕单裴霍"
    "涂成苗谷盛曲翁冉骆蓝路游辛靳管柴蒙鲍华喻祁蒲房滕屈饶解牟艾尤阳时穆司古吉缪车项连芦麦褚娄窦戚岑景党萧"
)
_COMPOUND = "欧阳|上官|司马|诸葛|东方|皇甫|尉迟|公孙|慕容|司徒|令狐|夏侯|宇文|长孙|端木|南宫|西门"
_SURNAME = f"(?:{_COMPOUND}|[{_SURNAMES}])"
# Signs that are no part of a given name but often follow one.
_GIVEN = "(?![的是在了和与就都向给被把也不有来去说叫让从到对为于我你他她它这那请您])[\u4e00-\u9fa5]"
_AFTER = (
    r"(?=[^\u4e00-\u9fa5]|$|今年|来自|现住|家住|住在|住|是|的|在|和|与|于|电话|手机|邮箱|性别|先生|女士"
    r"|身份证|说|从|毕业|喜欢|出生|我|你|他|她|请)"
)
_TITLES = (
    "先生|女士|小姐|太太|夫人|老师|教授|医生|大夫|护士|经理|总监|主任|律师|同学|师傅|博士|院长|校长|警官|法官"
    "|阿姨|叔叔|董事长|总经理|工程师|主管|处长|局长|科长|会计"
)
_LABELS_CN = (
    "姓名|联系人|收件人|收货人|寄件人|客户姓名|客户|患者姓名|患者|病人|申请人|负责人|经办人|法定代表人|持卡人|户名"
    "|投保人|被保险人|学生|家长|作者|乘客|租客|房东|签名|原告|被告"
)
_FIRST = (
    "James|John|Robert|Michael|William|David|Richard|Joseph|Thomas|Charles|Christopher|Daniel|Matthew"
    "|Anthony|Steven|Paul|Andrew|Joshua|Kenneth|Kevin|Brian|George|Edward|Ronald|Timothy|Jason"
    "|Jeffrey|Ryan|Jacob|Gary|Nicholas|Eric|Jonathan|Stephen|Larry|Justin|Scott|Brandon|Benjamin|Samuel"
    "|Gregory|Frank|Alexander|Raymond|Patrick|Jack|Dennis|Jerry|Tyler|Aaron|Jose|Adam|Nathan|Henry"
    "|Peter|Kyle|Walter|Ethan|Jeremy|Harold|Keith|Roger|Noah|Gerald|Carl|Terry|Sean|Arthur|Lawrence"
    "|Mary|Patricia|Jennifer|Linda|Elizabeth|Barbara|Susan|Jessica|Sarah|Karen|Lisa|Nancy|Betty|Sandra"
    "|Margaret|Ashley|Kimberly|Emily|Donna|Michelle|Carol|Amanda|Melissa|Deborah|Stephanie|Rebecca"
    "|Laura|Sharon|Cynthia|Kathleen|Amy|Angela|Anna|Brenda|Pamela|Nicole|Samantha|Katherine|Emma|Helen"
    "|Christine|Debra|Rachel|Carolyn|Janet|Catherine|Maria|Heather|Diane|Julie|Olivia|Joyce|Ruth"
    "|Kelly|Lauren|Christina|Joan|Evelyn|Judith|Megan|Andrea|Cheryl|Hannah|Jacqueline|Martha|Teresa"
    "|Sophia|Isabella|Charlotte|Oliver|Liam|Lucas|Mia|Amelia|Harper|Ella|Lucy|Alice|Claire|Simon|Martin"
)
_WORD = "(?:Mc|Mac|O['’])?[A-Z][a-z]{1,20}(?:[-'’][A-Z][a-z]{1,20})?"
_FULL = rf"{_WORD}(?:[ ](?:[A-Z]\.[ ])?(?:(?:van|von|de|da|del)[ ])?{_WORD}){{0,2}}"
_NO_NAME = (
    r"(?!(?:The|This|That|There|It|He|She|We|You|They|Not|Sir|Madam|All|Team|Customer|Friend|Everyone"
    r"|Colleagues?|Hiring|Support|Valued|Please|And|Or|But"
    r"|President|Speaker|Chair(?:man|woman)?|Minister)\b)"
)
NAMES = (
    re.compile(
        rf"(?:我叫|我的名字[是叫]|他叫|她叫|名叫|叫做|本人姓名|我朋友叫|同事叫)[ ]?"
        rf"(?P<value>{_SURNAME}(?:(?:{_GIVEN}){{1,2}}?{_AFTER}|(?:{_GIVEN}){{1,2}}))"
    ),
    re.compile(rf"(?:{_LABELS_CN})[ ]?[:：][ ]?(?P<value>(?:{_GIVEN}){{2,4}}?){_AFTER}"),
    re.compile(rf"(?P<value>{_SURNAME}(?:{_GIVEN}){{0,2}}?)(?={_TITLES})"),
    re.compile(
        r"(?<![A-Za-z])(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Doctor|Sir|Madam|Mister)\.?[ ]"
        rf"(?P<value>{_NO_NAME}{_FULL})"
    ),
    re.compile(
        r"(?<![A-Za-z])(?:[Mm]y name is|[Mm]y name['’]s|[Nn]ame is|(?:is|am|was) (?:called|named)"
        r"|(?:[Ff]ull |[Cc]ustomer |[Pp]atient |[Cc]ontact |[Cc]lient )?[Nn]ame[ ]?[:=]"
        r"|(?:Contact|Attn|Recipient|Sender|Author|Signed|Patient|Customer|Applicant)[ ]?[:,]"
        r"|Dear|(?:Best|Kind) [Rr]egards,|Sincerely,|Yours truly,|Cheers,)\s{1,3}"
        rf"(?P<value>{_NO_NAME}{_FULL})"
    ),
    re.compile(rf"(?<![A-Za-z])(?P<value>(?:{_FIRST})[ ](?:[A-Z]\.[ ])?{_WORD})(?![A-Za-z])"),
)

# Signs that stand before an address more often than in one.
_PLACE = "(?![我你他她它住在于到从是的了来去寄送往址至说对填])[\u4e00-\u9fa50-9A-Z]"
_ROAD = "(?:大道|大街|胡同|路|街|巷|道|里|村|弄)(?:[东西南北中]段?)?"
_UNIT = (
    "(?:[A-Za-z甲乙丙丁]?[0-9０-９一二三四五六七八九十百]{1,6}[-—]?[ ]?"
    "(?:号院|号楼|号|弄|栋|幢|座|单元|室|楼|层|门|户|组|[A-Z](?![A-Za-z])))"
)
_STREETS = (
    "Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Square|Sq"
    "|Terrace|Way|Parkway|Pkwy|Highway|Hwy|Circle|Crescent|Close|Alley|Row"
)
_CAPITAL = "(?:(?:St|Mt|Ft)[.]|[A-Z][A-Za-z'’-]{1,20})"
ADDRESSES = (
    re.compile(
        rf"(?:{_PLACE}){{1,40}}?{_ROAD}[ ]?{_UNIT}"
        rf"(?:[\u4e00-\u9fa5A-Za-z]{{0,10}}?[ ]?{_UNIT}){{0,4}}(?:[0-9]{{2,5}}室?)?"
    ),
    re.compile(
        r"(?<![A-Za-z0-9])[0-9]{1,6}[A-Za-z]?(?:[ -][0-9/]{1,4})?,?[ ]"
        r"(?:[NSEW]\.?[ ]|(?:North|South|East|West)[ ])?"
        rf"(?:(?:{_CAPITAL}|[0-9]{{1,3}}(?:st|nd|rd|th))[ ]){{1,4}}?(?:{_STREETS})(?![A-Za-z])\.?"
        r"(?:[ ][NSEW]{1,2}(?![A-Za-z]))?"
        r"(?:,?[ ](?:Apt|Apartment|Suite|Ste|Unit|Floor|Flat|Room|#)\.?[ ]?"
        r"#?[A-Za-z0-9-]{1,6}(?![A-Za-z]))?"
        rf"(?:,[ ]{_CAPITAL}(?:[ ]{_CAPITAL}){{0,2}}){{0,3}}"
        r"(?:,?[ ][A-Z]{2})?(?:,?[ ][0-9]{5}(?:-[0-9]{4})?(?![0-9]))?"
        r"(?:,?[ ][A-Z]{1,2}[0-9][0-9A-Z]?[ ][0-9][A-Z]{2}(?![A-Za-z0-9]))?"
    ),
    re.compile(r"(?<![A-Za-z])P\.?[ ]?O\.?[ ]Box[ ][0-9]{1,6}(?![0-9])"),
)
