/// What the rules of the encodings ask of a character, as bits of one byte.
enum CharacterClass {
    /// Lu, Lt and all that has no case: Lm, Lo, M. What may begin a word of o200k_base.
    static let upper: UInt8 = 1
    /// Ll and all that has no case. What a word of o200k_base goes on with.
    static let lower: UInt8 = 2
    /// N: digits, but ² and Ⅷ too.
    static let number: UInt8 = 4
    /// White_Space.
    static let space: UInt8 = 8
    /// Carriage return and line feed, beside `space`.
    static let lineBreak: UInt8 = 16
    /// L: every letter, and no mark.
    static let letter: UInt8 = 32
    /// Stands in the table of ASCII for a byte that is none.
    static let notASCII: UInt8 = 128

    static let caseless = upper | lower
}

/// The classes of all scalars, frozen at Unicode 16: that is what tiktoken 0.14 has (regex-syntax 0.8.11). A toolchain
/// that knows a newer Unicode must not change a token, so nothing here asks the toolchain.
enum UnicodeClasses {
    static let scalars = 0x110000
    static let blockScalars = 128

    /// The class of every scalar. Surrogates have none.
    static func all() -> [UInt8] {
        var classes: [UInt8] = []
        classes.reserveCapacity(self.scalars)
        var run: (class: UInt8, count: Int)?
        func close() {
            guard let run else { return }
            classes.append(contentsOf: repeatElement(run.class, count: max(1, run.count)))
        }
        self.runs.withUTF8Buffer { text in
            for byte in text {
                if byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
                    let digits = (run?.count ?? 0) * 10
                    run?.count = digits + Int(byte - UInt8(ascii: "0"))
                } else {
                    close()
                    run = (self.class(mark: byte), 0)
                }
            }
        }
        close()
        precondition(classes.count == self.scalars, "the runs cover all scalars")
        return classes
    }

    /// The classes in two stages: the number of its block for every 128 scalars, and each different block once.
    static let blocks: (numbers: [UInt8], classes: [UInt8]) = {
        let all = UnicodeClasses.all()
        var numbers: [UInt8] = []
        var classes: [UInt8] = []
        var known: [ArraySlice<UInt8>: UInt8] = [:]
        for start in stride(from: 0, to: all.count, by: UnicodeClasses.blockScalars) {
            let block = all[start..<start + UnicodeClasses.blockScalars]
            if let number = known[block] {
                numbers.append(number)
            } else {
                precondition(known.count < 256, "the number of a block is a byte")
                let number = UInt8(known.count)
                known[block] = number
                numbers.append(number)
                classes += block
            }
        }
        return (numbers, classes)
    }()

    private static func `class`(mark: UInt8) -> UInt8 {
        switch mark {
        case UInt8(ascii: "u"): CharacterClass.upper | CharacterClass.letter
        case UInt8(ascii: "l"): CharacterClass.lower | CharacterClass.letter
        case UInt8(ascii: "o"): CharacterClass.caseless | CharacterClass.letter
        case UInt8(ascii: "m"): CharacterClass.caseless
        case UInt8(ascii: "d"): CharacterClass.number
        case UInt8(ascii: "s"): CharacterClass.space
        case UInt8(ascii: "b"): CharacterClass.space | CharacterClass.lineBreak
        default: 0
        }
    }

    /// Runs of scalars from U+0000 on, each its class and how many when there is more than one: u Lu and Lt, l Ll,
    /// o Lm and Lo, m M, d N, s White_Space, b line break, n anything else.
    private static let runs: StaticString = """
        n9sbs2bn18sn15d10n7u26n6l26n10sn26sn9on7d2nln3dond3nu23nu7l24nl8ulululululululululululululululululul\
        ulululululululululul2ulululululululul2ulululululululululululululululululululululululu2lulul3u2lulu2l\
        u3l2u4lu2lu3l3u2lu2lululu2lul2ulu2lu3lulu2l2oul3o4u2lu2lu2lulululululululul2ululululululululul2u2lul\
        u3lululululululululululululululululululululululululululululul7u2lu2l2ulu4lulululul69o2l26o18n4o12n14\
        o5n7onon17m112ululonuln2ol3nun6unu3nunu2lu17nu9l35ul2u3l3ulululululululululululul5ulnulu2l2u51l48ulu\
        lulululululululululululululululnm7ulululululululululululululululululululululululululululu2lululululu\
        lul2ulululululululululululululululululululululululululululululululululululululululululululululululul\
        nu38n2on6l41n8m45nmnm2nm2nmn8o27n4o4n29m11n5o43m21d10n4o2mo99nom7n2m6o2m2nm4o2d10o3n2on16omo30m27n2\
        o89m11on14d10o33m9o2n4on2mn2o22m4om9om3om5n18o25m3n4o11n5o24no6n8m9o42m24nm33o54m3om18om7o10m2n2d10n\
        o16m3no8n2o2n2o22no7non3o4n2mom7n2m2n2m3on8mn4o2no3m2n2d10o2n2d6n2onmn2m3no6n4o2n2o22no7no2no2no2n2m\
        nm5n4m2n2m3n3mn7o4non7d10m2o3mn11m3no9no3no22no7no2no5n2mom8nm3nm3n2on15o2m2n2d10n9om6nm3no8n2o2n2\
        o22no7no2no5n2mom7n2m2n2m3n7m3n4o2no3m2n2d10nod6n10mono6n3o3no4n3o2nono2n3o2n3o3n3o12n4m5n3m3nm4n2o\
        n6mn14d13n13m5o8no3no23no16n2mom7nm3nm4n7m2no3n2on2o2m2n2d10n8d7nom3no8no3no23no10no5n2mom7nm3nm4n7\
        m2n6o2no2m2n2d10no2mn12m4o9no3no41m2om7nm3nm4on5o3md7o3m2n2d19no6nm3no18n3o24no9non2o7n3mn4m6nmnm8n6\
        d10n2m2n13o48mo2m7n5o7m8nd10n39o2nono5no24nono10mo2m9on2o5nonm7nd10n2o4n32on23m2n6d20nmnmnmn4m2o8n\
        o36n4m20nm2o5m11nm36n9mn57o43m20od10n6o6m4o4m3om3o2m7o3m4o13m12omd10m4n2u38nun5un2l43nol3o329no4n2o7\
        nono4n2o41no4n2o33no4n2o7nono4n2o15no57no4n2o67n2m3n9d20n3o16n16u86n2l6n3o620n2o17so26n5o75n3d3o8n7\
        o18m4n9o19m3n11o18m2n12o13no3nm2n12o52m32n3on4omn2d10n6d10n17m3nmd10n6o89n7o5m2o34mon5o70n10o31nm12\
        n4m12n10d10o30n2o5n11o44n4o26n6d11n37o23m5n4o53m10nm29n2md10n6d10n13on8m31n49m5o47m17o8n3d10n17m9n12\
        m3o30m13o2d10o44m14n12o36m20n8d10n3o3d10o36n2l9uln5u43n2u3n16m3nm21o4mo6mo2m3on5l44o63l13ol34o37m64u\
        lulululululululululululululululululululululululululululululululululululululululululululululululululu\
        lulululululululululululululululululululululululul9ululululululululululululululululululululululululul\
        ulululululululululululululululululululululululul9u8l6n2u6n2l8u8l8u8l6n2u6n2l8nunununul8u8l14n2l8u8l8\
        u8l8u8l5nl2u5nln3l3nl2u5n3l4n2l2u4n4l8u5n5l3nl2u5n3s11n29s2n5sn47sn16don2d6n5od10n6o13n51m33n17un4u\
        n2lu3l2u3lnun3u5n6unununu4nlu4lo4ln2l2u2n5ul4n4lnd51uld5n726d60n78d22n630d30n1132u48l48ulu3l2ululul\
        u4lul2ul6o2u3lululululululululululululululululululululululululululululululululululululululululululul\
        ulululululul2n6ululm3uln9dn2l38nln5ln2o56n7on15mo23n9o7no7no7no7no7no7no7no7nm32n47on464sn4o2dn25d9\
        m6no5n2d3o2n4o86n2m2n2o3no90no4n5o43no94n3d4n10o32n48o16n32d10n30d8nd15n32d10n39d15n320o6592n64\
        o22157n67o46n2o269n3o16d10o2n20ulululululululululululululululululululululululom4nm10noululululululul\
        ulululululululo2m2o70d10m2n37o9n2ululululululul3ulululululululululululululululululululululululululul\
        ulululululol8ululu2lululululon2ululoulul3ululululululululululu5lu5lulululululululu4lulu2ln2ulnlnlulu\
        lulun21o3ulo3lo7mo3mo4mo23m5n4mn3d6n10o52n12m2o50m18n10d10n6m18o6n3ono2md10o28m8n2o23m13n12o29n3m4\
        o47m14n14od10n6o5mo10d10o5no41m14n9o3mo8m2n2d10n6o23n3om3o50mom3o2m2o5m2omon24o3n2o11m5n2o3m2n10o6n2\
        o6n2o6n9o7no7nl43no4l9on6l80o35m8nm2n2d10n6o11172n12o23n4o49n8452o366n2o106n38l7n12l5n5omo10no13no5n\
        ono2no2no108n33o363n18o64n2o54n40o12n4m16n16m16n64o5no135n19d10n7u26n6l26n11o89n3o6n2o6n2o6n2o3n35\
        o12no26no19no2no15n2o14n34o123n12d45n12d57n17d2n113mn130o29n3o49n15md27n4o32d4n9o20do8dn5o38m5n5o30\
        n2o36n4o8nd5n42u40l40o78n2d10n6u36n4l36n4o40n8o52n12u11nu15nu7nu2nl11nl15nl7nl2n3o52n12o311n9o22n10\
        o8n24o6no42no9n69o6n2ono44no2n3on2o23n2d8o23n2d7o31n8d9n48o19no2n5d5o22d6n4o26n70o56n4d2o2d16n2d46o\
        m3nm2n5m4o4no3no29n2m3n4md9n23o29d2no29d3n32o8no28m2n4d5n16o54n10o22n2d8o19n5d8o18n23d7n80o73n55u51\
        n13l51n7d6o36m4n8d10n6d10o6u22n3m5nol22n218d31no42nm2n3o2n16o3n55m4o29d10on8o22m11d4n27o18m4n42o21d7\
        n20o23n9m3o53m15n11d30mo2m2on9m4o45m11n7mn13o25n7d10n6m3o36m14nd10n4om2on8o35mn2on9m3o48m14o4n4m4nm2\
        d10onon4d20n11o18no25m12n6mo2mn62o7nono4no15no10n7o47m12n5d10n6m4no8n2o2n2o22no7no2no5nm2om7n2m2n2m3\
        n2on6mn5o5m2n2m7n3m5n11o10non2ono38nom9nmn2mnm4nm5omon13m2n29o53m18o4n5d10n4mo3n30o48m20o2non8d10\
        n166o47m7n2m9n23o4m2n34o48m17n3on11d10n38o43m13on7d10n6d20n28o27n2m15n4d12n4o7n185o44m15n101u32l32\
        d19n12o8n2on2o8no2no24m6nm2n2m4omom2n12d10n70o8n2o39m7n2m7onomn27om10o40m7om4n8mn8om11o46m16n3on18\
        o73n199o33n15d10n6o9no37m8nm8on15d29n5o30n2m22nm14n73o7no2no38m6n3mnm2nm7omn8d10n6o6no2no32m5nm2nm5o\
        n7d10n310o19m4n9m2omo13no34m7n3m5n13d10mn85on15d21n43o922n102d111n17o196n2636o97n15o1072n16mo6m15n10\
        o3995n5o583n6841o30m18d10n1734o569n7o31nd10n6o79nd10n6o30n2m5n11o48m7n9o4n12d10nd7no21n5o19n432o45n3\
        d10n198u32l32d23n105o75n4mom55n7m4o13n64o2nomn11m2n14o6136n8o1238n41o10n8935o4no7no2no291n15on29o3n2\
        on14o4n8o396n2308o107n5o13n3o9n7o10n3m2n4177d10n518m46n2m23n542m5n3m6n8m8n2m7n30m4n148m3n123d20n12\
        d20n108d25n135u26l26u26l7nl18u26l26unu2n2un2u2n2u4nu8l4nlnl7nl11u26l26u2nu4n2u8nu7nl26u2nu4nu5nun3u7\
        nl26u26l26u26l26u26l26u26l26u26l26u26l28n2u25nl25nl6u25nl25nl6u25nl25nl6u25nl25nl6u25nl25nl6uln2d50\
        n512m55n4m50n8mn14mn22m5nm15n1104l10ol20n6l6n213m7nm17n2m7nm2nm5n5o62n33mn112o45n3m7o7n2d10n4on321\
        o30mn17o44m4d10n470o28m4d10n214o30m2od10n485o7no4no2no15no197n2d9m7n41u34l34m7on4d10n791d59nd3nd4n76\
        d45nd15n194o4no27no2non2ono10no4nonon6on4ononono3no2non2ononononono2non2o4no7no4no4nono10no17n5o3no5\
        no17n580d13n2787d10n1030o42720n32o4154n6o222n2o5762n14o7473n15o622n2466o542n1506o4939n5o4192n712016\
        m240n196112
        """
}
